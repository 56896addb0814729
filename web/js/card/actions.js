/** What can be done with a caption: copy it in a form, edit it. */

import { copyAndSay } from "../lib/clipboard.js";
import { button, el, icon } from "../lib/dom.js";

const attribute = (text) =>
  text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");

const markdown = (text) => text.replaceAll(/([\\[\]`*_<>])/g, "\\$1");

// An angle-bracketed address may hold spaces and parentheses, but none of these.
const address = (name) => name.replaceAll(/[<>\\\r\n]/g, (c) => encodeURIComponent(c));

const FORMS = {
  text: { label: "Text", title: "Copy the caption", make: (text) => text },
  alt: { label: "alt", title: 'Copy as alt="…"', make: (text) => `alt="${attribute(text)}"` },
  markdown: {
    label: "Markdown",
    title: "Copy as a Markdown picture",
    make: (text, name) => `![${markdown(text)}](<${address(name)}>)`,
  },
};

/** The buttons under a caption. */
export function actions(item, result, context) {
  const copies = Object.entries(FORMS).map(([name, form]) => {
    const node = button(
      {
        class: "button small quiet",
        "data-key": `${result.model} copy ${name}`,
        title: form.title,
        "aria-label": `${form.title} (${form.label})`,
        click: () => copied(node, result, form.make(result.text, item.name)),
      },
      name === "text" && icon("copy"),
      form.label,
    );
    return node;
  });
  const startEditing = () => {
    Object.assign(result, { draft: result.text, exploring: false });
    context.look.spotlight.hide();
    context.changed(`${result.model} field`);
  };
  return el(
    "div",
    { class: "actions" },
    el("span", { class: "joined", role: "group", "aria-label": "Copy" }, ...copies),
    button({ class: "button small quiet", "data-key": `${result.model} edit`, click: startEditing }, icon("edit"), "Edit"),
  );
}

async function copied(node, result, text) {
  const taken = result.text;
  if (await copyAndSay(node, text)) result.taken = taken;
}
