/** Tells screen readers what happened, without moving the focus. */

import { byId } from "./dom.js";

let timer = 0;

export function announce(text) {
  const region = byId("announcer");
  region.textContent = "";
  clearTimeout(timer);
  // A change that follows an empty region is read even when the words are the same as before.
  timer = setTimeout(() => { region.textContent = text; }, 60);
}
