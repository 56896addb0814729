/** The menu that saves all captions as a file. */

import { button, el, icon } from "../lib/dom.js";
import { csv, jsonl, sidecars } from "./formats.js";

const KINDS = [
  ["Table", "CSV, for spreadsheets", "captions.csv", csv],
  ["JSON Lines", "With alternatives and confidence, for programs", "captions.jsonl", jsonl],
  ["Text files", "ZIP: one .txt named after each picture, for training sets", "captions.zip", sidecars],
];

/** @param {() => Item[]} items */
export function downloadMenu(items) {
  const save = (name, make) => {
    const url = URL.createObjectURL(make(items()));
    el("a", { href: url, download: name }).click();
    for (const item of items()) for (const result of item.results.values()) result.taken = result.text;
    // Not at once: the download has to have started.
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    close(true);
  };
  const menu = el(
    "details",
    { class: "menu" },
    el("summary", { class: "button" }, icon("download"), "Download"),
    el(
      "div",
      { class: "menu-items" },
      ...KINDS.map(([title, what, name, make]) =>
        button({ click: () => save(name, make) }, title, el("small", {}, what)),
      ),
    ),
  );
  const close = (refocus) => {
    if (!menu.open) return;
    menu.open = false;
    if (refocus) menu.firstElementChild.focus();
  };
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close(true);
  });
  document.addEventListener("pointerdown", (event) => {
    if (!menu.contains(event.target)) close(false);
  });
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !menu.contains(event.relatedTarget)) close(false);
  });
  return menu;
}
