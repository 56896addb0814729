/** Copies a caption in the form that is needed. */

const attribute = (text) =>
  text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");

const markdown = (text) => text.replaceAll(/([\\[\]`*_<>])/g, "\\$1");

// An angle-bracketed address may hold spaces and parentheses, but none of these.
const address = (name) => name.replaceAll(/[<>\\\r\n]/g, (c) => encodeURIComponent(c));

export const FORMS = {
  text: { label: "Text", title: "Copy the caption", make: (text) => text },
  alt: { label: "alt", title: 'Copy as alt="…"', make: (text) => `alt="${attribute(text)}"` },
  markdown: {
    label: "Markdown",
    title: "Copy as a Markdown picture",
    make: (text, name) => `![${markdown(text)}](<${address(name)}>)`,
  },
};

/** Copy a text; also where the page is served without TLS and browsers offer no clipboard. */
export async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "sr-only";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  focused?.focus();
  if (!done) throw new Error("the browser refused to copy");
}
