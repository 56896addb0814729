/** Writes a caption by hand. */

import { el, unique } from "../lib/dom.js";

/**
 * @param {string} text
 * @param {(text: string|null) => void} done gets the new text, or null when given up
 */
export function editor(text, done) {
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
      el("button", { type: "button", class: "button primary small", on: { click: save } }, "Save"),
      el("button", { type: "button", class: "button small", on: { click: () => done(null) } }, "Leave as it was"),
    ),
  );
}
