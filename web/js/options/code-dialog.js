/** "Use it from code": shows the request of this page for a terminal and for programs. */

import { copyAndSay } from "../lib/clipboard.js";
import { button, el, icon, unique } from "../lib/dom.js";
import { snippets } from "./snippets.js";

/**
 * @param {{name: string, address: string|null}} picture
 * @param {Object[]} requests the fields of each model's request
 * @param {boolean} keyed whether the server wants a key
 */
export function showCode(picture, requests, keyed) {
  const id = `code-${unique()}`;
  const base = new URL(".", location.href).href;
  const dialog = el(
    "dialog",
    { class: "code", "aria-labelledby": id, on: { close: () => dialog.remove() } },
    el("h2", { id }, "Use it from code"),
    el("p", {}, "The very request that this page sends for a picture, with the options that are chosen now."),
    ...snippets(picture, requests, base, keyed).map(section),
    el("div", { class: "dialog-actions" }, button({ class: "button", click: () => dialog.close() }, "Close")),
  );
  document.body.append(dialog);
  dialog.showModal();
}

function section({ title, note, text }) {
  const copy = button(
    { class: "button small", "aria-label": `Copy for ${title}`, click: () => void copyAndSay(copy, text) },
    icon("copy"),
    "Copy",
  );
  return el(
    "section",
    {},
    el("div", { class: "code-head" }, el("h3", {}, title), el("p", {}, note), copy),
    el("pre", {}, el("code", {}, text)),
  );
}
