/** Asks for the server's key. */

import { button, el, unique } from "../lib/dom.js";

/**
 * @param {ApiError|null} refusal why the key that was used is not good; null where there was none
 * @returns {Promise<string|null>} null when it was given up
 */
export function askForKey(refusal) {
  const id = `key-${unique()}`;
  const input = el("input", { type: "password", id, required: true, autocomplete: "off", spellcheck: false });
  const cancel = button({ class: "button", click: () => dialog.close() }, "Cancel");
  const problem = refusal && el("p", { class: "problem", role: "alert" }, "The server did not accept that key.");
  const form = el(
    "form",
    {},
    el("h2", { id: `${id}-title` }, "This server needs a key"),
    el("p", {}, "Whoever runs it has given you one. It is kept until you close this tab, and sent to this server only."),
    el("label", { htmlFor: id }, "Key"),
    input,
    problem,
    el("div", { class: "dialog-actions" }, cancel, el("button", { class: "button primary" }, "Continue")),
  );
  const dialog = el("dialog", { "aria-labelledby": `${id}-title` }, form);
  document.body.append(dialog);
  dialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    let key = null;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      key = input.value.trim() || null;
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(key);
    });
  });
}
