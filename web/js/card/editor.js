/** A caption that is changed by hand. */

import { announce, button, el, unique } from "../lib/dom.js";

/**
 * @param {string} text
 * @param {(text: string|null) => void} done gets the new text, or null when given up
 */
function editor(text, done) {
  const id = `editor-${unique()}`;
  const field = el("textarea", { id, rows: 3, value: text });
  const save = () => done(field.value.replaceAll(/\s+/g, " ").trim() || null);
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      save();
    } else if (event.key === "Escape") {
      event.preventDefault();
      done(null);
    }
  });
  // Focused once it is on the page.
  queueMicrotask(() => field.focus());
  return el(
    "div",
    { class: "editor" },
    el("label", { class: "sr-only", htmlFor: id }, "Caption"),
    field,
    el(
      "div",
      {},
      button({ class: "button primary small", click: save }, "Save"),
      button({ class: "button small", click: () => done(null) }, "Leave as it was"),
    ),
  );
}

/** Where the caption was, the editor of it. */
export function edit(result, { changed }) {
  return editor(result.text, (text) => {
    result.editing = false;
    if (text !== null && text !== result.text) {
      result.edited = text;
      announce("Caption changed");
    }
    changed(`${result.model} edit`);
  });
}

/** In the place of the confidence: that the words are the user's, and the way back. */
export function editedNote(result, { changed }) {
  const undo = () => {
    result.edited = null;
    changed(`${result.model} edit`);
  };
  return el(
    "p",
    { class: "confidence" },
    el("span", { class: "edited" }, "Edited by you"),
    button({ class: "button small quiet", "data-key": `${result.model} undo`, click: undo }, "Undo"),
  );
}
