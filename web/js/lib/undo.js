/** Undo for a while: a bar says what was done and takes it back; so does Ctrl+Z. */

import { announce, button, byId, el, icon, isMac } from "./dom.js";

const LASTS = 20_000;

// The oldest first. They lapse together, so that what was done in a row is always taken back in turn:
// a later step may rest on an earlier one.
let offers = [];
let timer = 0;

const bar = () => byId("undo-bar");

/**
 * Offer to take back what was just done.
 *
 * @param {string} words what was done
 * @param {() => void} undo takes it back, and moves the focus to what is there again
 * @param {Object} more
 * @param {string} more.label what the button says
 * @param {() => void} more.lapsed called once it can no longer be taken back
 */
export function offerUndo(words, undo, { label = "Undo", lapsed = () => {} } = {}) {
  offers.push({ words, undo, label, lapsed });
  announce(`${words} ${label}: ${matchMedia("(pointer: coarse)").matches ? "at the end of the page" : keys()}.`);
  show();
}

/** Have Ctrl+Z (on a Mac ⌘ Z) take back the last step, except where it belongs to a text. */
export function listenForUndo() {
  addEventListener("keydown", (event) => {
    const plain = (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey;
    if (!plain || !isZ(event) || event.defaultPrevented || offers.length === 0) return;
    if (document.querySelector("dialog[open]:not(.large)") || holdsText(event.target)) return;
    event.preventDefault();
    takeBack();
  });
}

const keys = () => (isMac ? "⌘ Z" : "Ctrl Z");

/** Keyboards of other alphabets have another letter on that key. */
const isZ = ({ key, code }) => (/^[a-z]$/i.test(key) ? key.toLowerCase() === "z" : code === "KeyZ");

const NO_TEXT = ["checkbox", "radio", "range", "file"];

const holdsText = (node) => node.matches?.("textarea, input") && !NO_TEXT.includes(node.type);

function takeBack() {
  const { undo } = offers.pop();
  show();
  undo();
}

function show() {
  const node = bar();
  const offer = offers.at(-1);
  node.hidden = !offer;
  node.replaceChildren();
  clearTimeout(timer);
  if (!offer) return;
  node.append(
    el("p", {}, offer.words),
    button({ class: "button small", title: keys(), click: takeBack }, offer.label),
    button({ class: "button small quiet", title: "Dismiss", "aria-label": "Dismiss", click: dismiss }, icon("close")),
  );
  timer = setTimeout(lapse, LASTS);
}

function dismiss() {
  lapse(true);
  // The button is gone; the keyboard's place is not to be lost with it.
  byId("results").focus({ preventScroll: true });
}

function lapse(atOnce = false) {
  // Not from under somebody's finger.
  if (!atOnce && bar().matches(":hover, :focus-within")) {
    timer = setTimeout(lapse, LASTS);
    return;
  }
  const gone = offers;
  offers = [];
  show();
  for (const { lapsed } of gone) lapsed();
}
