/** Copies texts. */

import { announce } from "./dom.js";

/** Copy a text; also where the page is served without TLS and browsers offer no clipboard. */
async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "sr-only";
  // Outside of an open dialog nothing can be selected.
  (document.querySelector("dialog[open]") ?? document.body).append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  focused?.focus();
  if (!done) throw new Error("the browser refused to copy");
}

/** Copy a text and have the last words of a button say so for a moment; tells whether it was copied. */
export async function copyAndSay(node, text) {
  const label = node.lastChild;
  const before = label.data;
  setTimeout(() => { label.data = before; }, 1500);
  try {
    await copy(text);
    label.data = "Copied";
    announce("Copied");
    return true;
  } catch {
    label.data = "Could not copy";
    announce("The browser did not allow copying.");
    return false;
  }
}
