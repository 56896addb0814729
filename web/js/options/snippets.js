/** The request that this page sends, for a terminal and for programs. */

/** A word of a shell's command line. */
const shell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** A text of Python's: JSON's are written the same way. */
const python = (value) => (typeof value === "boolean" ? (value ? "True" : "False") : JSON.stringify(value));

// A name that begins with a dash would be taken for an option.
const path = (name) => (name.startsWith("-") ? `./${name}` : name);

function curl({ name, address }, fields, base, keyed) {
  const key = keyed ? ['-H "Authorization: Bearer $CAPTIONBOX_API_KEY"'] : [];
  const parts = address ? curlAddress(address, fields, base) : curlFile(name, fields, base);
  const [first, ...others] = [...key, ...parts];
  return [`curl ${first}`, ...others].join(" \\\n  ");
}

function curlFile(name, fields, base) {
  // Quoted, for curl takes a comma or a semicolon for the end of a name.
  const file = /[,;"\\]/.test(name) ? `"${name.replaceAll(/["\\]/g, "\\$&")}"` : name;
  const given = Object.entries(fields).map(([field, value]) => {
    // Of a text, curl would read a first @ or < as the name of a file.
    const option = typeof value === "string" && !/^[\w.-]+$/.test(value) ? "--form-string" : "-F";
    return `${option} ${shell(`${field}=${value}`)}`;
  });
  return [`-F ${shell(`image=@${file}`)}`, ...given, shell(`${base}caption`)];
}

function curlAddress(address, fields, base) {
  const body = JSON.stringify({ url: address, ...fields });
  return ["-H 'Content-Type: application/json'", `-d ${shell(body)}`, shell(`${base}caption_url`)];
}

function sdk({ name, address }, requests, base) {
  const calls = requests.map((fields) => {
    const options = Object.entries(fields).map(([field, value]) => `, ${field}=${python(value)}`).join("");
    return `    result = client.caption(${python(address ?? name)}${options})
    for caption in result.captions:
        print(f"{caption.confidence:.2f}  {caption.text}")`;
  });
  return ["from captionbox import Captionbox", "", `with Captionbox(${python(base)}) as client:`, ...calls].join("\n");
}

function cli({ name, address }, fields, base) {
  const given = Object.entries(fields).map(([field, value]) => {
    const option = `--${field.replaceAll("_", "-")}`;
    return value === true ? option : `${option} ${shell(String(value))}`;
  });
  const parts = [`--base-url ${shell(base)}`, "--format jsonl", ...given];
  return [`captionbox caption ${shell(address ?? path(name))}`, ...parts].join(" \\\n  ");
}

/**
 * @param {{name: string, address: string|null}} picture
 * @param {Object[]} requests the fields of each model's request
 * @param {string} base address of the server, with a slash at its end
 * @param {boolean} keyed whether the server wants a key
 * @returns {{title: string, note: string, text: string}[]}
 */
export function snippets(picture, requests, base, keyed) {
  const key = keyed ? " The key comes from CAPTIONBOX_API_KEY." : "";
  return [
    { title: "curl", note: `From any shell.${key}`, text: requests.map((fields) => curl(picture, fields, base, keyed)).join("\n") },
    { title: "Python", note: `With the SDK: pip install ./client.${key}`, text: sdk(picture, requests, base) },
    { title: "Command line", note: `With the same package; takes folders too.${key}`, text: requests.map((fields) => cli(picture, fields, base)).join("\n") },
  ];
}
