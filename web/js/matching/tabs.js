/** The two tabs, where the server can match as well as caption. */

import { byId } from "../lib/dom.js";

const NAMES = ["captions", "matching"];

/** @param {(name: string) => void} shown called when a tab was changed to */
export function showTabs(shown) {
  byId("tabs").hidden = false;
  const captions = byId("panel-captions");
  captions.setAttribute("role", "tabpanel");
  captions.setAttribute("aria-labelledby", "tab-captions");
  const select = (chosen) => {
    for (const name of NAMES) {
      const tab = byId(`tab-${name}`);
      tab.setAttribute("aria-selected", String(name === chosen));
      tab.tabIndex = name === chosen ? 0 : -1;
      byId(`panel-${name}`).hidden = name !== chosen;
    }
    shown(chosen);
  };
  NAMES.forEach((name, index) => {
    const tab = byId(`tab-${name}`);
    tab.addEventListener("click", () => select(name));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = NAMES[(index + step + NAMES.length) % NAMES.length];
      select(next);
      byId(`tab-${next}`).focus();
    });
  });
}
