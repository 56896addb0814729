/** A caption that is changed by hand. */

import { announce, button, el, unique } from "../lib/dom.js";
import { offerUndo } from "../lib/undo.js";

const tidy = (text) => text.replaceAll(/\s+/g, " ").trim();

/**
 * @param {Result} result what is written in the field is its `draft`
 * @param {(text: string|null) => void} done gets the new text, or null when given up
 */
function editor(result, done) {
  const id = `editor-${unique()}`;
  const write = () => { result.draft = field.value; };
  const field = el("textarea", {
    id, rows: 3, value: result.draft, "data-key": `${result.model} field`, on: { input: write },
  });
  const save = () => done(tidy(field.value) || null);
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
export function edit(item, result, { changed }) {
  return editor(result, (text) => {
    const { draft } = result;
    result.draft = null;
    if (text !== null && text !== result.text) {
      result.edited = text;
      announce("Caption changed");
    }
    changed(`${result.model} edit`);
    if (text === null && ![result.text, ""].includes(tidy(draft))) {
      offerBack(item, result, { draft }, `Left “${item.name}” as it was.`, "Go on writing", changed);
    }
  });
}

/** In the place of the confidence: that the words are the user's, and the way back. */
export function editedNote(item, result, { changed }) {
  const undo = () => {
    const { edited } = result;
    result.edited = null;
    changed(`${result.model} edit`);
    offerBack(item, result, { edited }, `Took back your words for “${item.name}”.`, "Redo", changed);
  };
  return el(
    "p",
    { class: "confidence" },
    el("span", { class: "edited" }, "Edited by you"),
    button({ class: "button small quiet", "data-key": `${result.model} undo`, click: undo }, "Undo"),
  );
}

/**
 * Show one of a picture's captions in place of what the user wrote, if they wrote anything.
 *
 * @param {number} index of the caption
 */
export function replace(item, result, index, { changed }) {
  const { edited } = result;
  Object.assign(result, { chosen: index, edited: null, exploring: false });
  changed(`${result.model} alternatives`);
  if (edited === null) announce(`Caption: ${result.text}`);
  else offerBack(item, result, { edited }, replaced(item), "Undo", changed);
}

const replaced = (item) => `Replaced your words for “${item.name}”.`;

/**
 * Offer to put the user's words back, whatever has come since: from the server, or from the user.
 *
 * @param {{edited: string}|{draft: string}} words
 */
function offerBack(item, result, words, said, label, changed) {
  const bringBack = () => {
    const now = holder(item, result);
    const [[kind, text]] = Object.entries(words);
    const since = now[kind];
    now[kind] = text;
    changed(`${now.model} ${now.draft === null ? "edit" : "field"}`);
    if (since !== null && since !== text) offerBack(item, now, { [kind]: since }, replaced(item), "Undo", changed);
  };
  offerUndo(said, bringBack, { label });
}

/** The result that is to hold the user's words: the one that is shown, if it has captions. */
function holder(item, result) {
  const now = item.results.get(result.model);
  if (now?.state === "done") return now;
  // What is being asked for comes beneath the words.
  result.fresh = now ?? null;
  item.results.set(result.model, result);
  return result;
}
