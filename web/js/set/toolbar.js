/** How far the set is, and what can be done with all of it. */

import { announce, button, el, icon } from "../lib/dom.js";
import { downloadMenu } from "../export/download-menu.js";

const TITLE = document.title;

export const pictures = (n) => (n === 1 ? "1 picture" : `${n} pictures`);

/** Count pictures by how they fare: one is done when every model is done with it. */
function count(items) {
  const counts = { all: items.length, pending: 0, failed: 0, cancelled: 0, done: 0 };
  for (const item of items) {
    const states = [...item.results.values()].map(({ asked }) => (asked.pending ? "pending" : asked.state));
    counts[["pending", "failed", "cancelled"].find((state) => states.includes(state)) ?? "done"] += 1;
  }
  return counts;
}

export class Toolbar {
  #node;
  #collection;
  #options;
  #words = el("p", { class: "progress-words" });
  #bar = el("progress", { max: 1, value: 0, "aria-label": "Pictures captioned" });
  #cancel;
  #retry;
  #again;
  #download;
  #busy = false;
  #scheduled = false;

  /**
   * @param {HTMLElement} node
   * @param {Collection} collection
   * @param {Object} options functions `cancel`, `retryFailed`, `again`, `removeAll`, and `stale`,
   *   which tells whether the captions were made with other options than those chosen now
   */
  constructor(node, collection, options) {
    this.#node = node;
    this.#collection = collection;
    this.#options = options;
    this.#cancel = button({ class: "button", click: options.cancel }, "Cancel");
    this.#retry = button({ class: "button", click: options.retryFailed }, icon("retry"), "Retry");
    this.#again = button({ class: "button primary", click: options.again }, "Caption again");
    this.#download = downloadMenu(() => collection.items);
    node.append(
      el("div", { class: "progress" }, this.#words, this.#bar),
      this.#cancel, this.#again, this.#retry, this.#download,
      button({ class: "button quiet", click: options.removeAll }, "Clear"),
    );
    for (const event of ["add", "change", "remove"]) collection.addEventListener(event, () => this.update());
  }

  /** Show how things stand; once a frame, however many pictures change in it. */
  update() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setTimeout(() => {
      this.#scheduled = false;
      this.#update();
    }, 30);
  }

  #update() {
    const counts = count(this.#collection.items);
    const finished = counts.all - counts.pending;
    const busy = counts.pending > 0;
    const focused = this.#node.contains(document.activeElement) ? document.activeElement : null;
    this.#node.hidden = counts.all === 0;
    this.#bar.hidden = !busy;
    this.#bar.max = counts.all || 1;
    this.#bar.value = finished;
    const trouble = counts.failed + counts.cancelled;
    this.#words.replaceChildren(busy ? `Captioned ${finished} of ${counts.all}` : this.#summary(counts));
    this.#cancel.hidden = !busy;
    this.#retry.hidden = busy || trouble === 0;
    this.#retry.lastChild.data = counts.failed ? `Retry ${counts.failed} failed` : `Caption ${trouble} left`;
    this.#again.hidden = busy || counts.all === 0 || !this.#options.stale();
    this.#download.hidden = !this.#collection.results.some((result) => result.state === "done");
    document.title = busy ? `(${finished}/${counts.all}) ${TITLE}` : TITLE;
    if (this.#busy && !busy) this.#tell(counts);
    this.#busy = busy;
    // A button that was pressed may be gone now; its neighbour keeps the keyboard's place.
    if (focused?.hidden) (this.#retry.hidden ? this.#download.firstElementChild : this.#retry).focus();
  }

  #summary({ done, failed, cancelled }) {
    const parts = [];
    if (done || !(failed + cancelled)) parts.push(`${pictures(done)} captioned`);
    if (failed) parts.push(`${failed} failed`);
    if (cancelled) parts.push(`${cancelled} cancelled`);
    return parts.join(", ");
  }

  #tell(counts) {
    if (counts.all === 0) return;
    const [item] = this.#collection.items;
    const only = counts.all === 1 && counts.done === 1 ? [...item.results.values()][0].text : null;
    announce(only ?? this.#summary(counts));
  }
}
