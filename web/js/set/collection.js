/** The pictures on the page and what is known of them. Views listen; nothing here draws. */

import { unique } from "../lib/dom.js";

/** What one model says about a picture. */
export class Result {
  /** Waiting, working, done, failed or cancelled. */
  state = "waiting";
  /** Said while waiting, such as that the server is busy. */
  note = "";
  captions = [];
  chosen = 0;
  /** What the user wrote in the caption's place. */
  edited = null;
  /** What is being written: the text of the open editor. */
  draft = null;
  /** The text that the user last took along, as a file or over the clipboard. */
  taken = null;
  /** A result that is being asked for, whose captions will take the place of those that are here. */
  fresh = null;
  error = null;
  fields = {};
  model;
  version = null;

  constructor(model) {
    this.model = model;
  }

  /** The caption as it stands: what the user wrote, or chose, or what came first. */
  get text() {
    return this.edited ?? this.captions[this.chosen]?.text ?? "";
  }

  get confidence() {
    return this.edited === null ? this.captions[this.chosen]?.confidence ?? null : null;
  }

  get pending() {
    return this.state === "waiting" || this.state === "working";
  }

  /** Whether the words are the user's, or are about to be. */
  get byHand() {
    return this.edited !== null || this.draft !== null;
  }

  /** Whether there are words of the user's on this page only. */
  get unsaved() {
    const written = this.edited !== null && this.edited !== this.taken;
    return written || (this.draft !== null && this.draft !== this.text);
  }

  /** The result that the server was asked for last. */
  get asked() {
    return this.fresh ?? this;
  }
}

export class Item {
  id = unique();
  /** Result by model name, in the order they are shown. */
  results = new Map();
  /** Of `prepare`: undefined while it works, null where the browser cannot read the file. */
  picture = undefined;
  /** Whether somebody has looked at its captions and found them good. */
  accepted = false;
  /** Whether it is gone for good. */
  released = false;

  /** @param {{name: string, file?: File|Blob, address?: string}} source */
  constructor({ name, file = null, address = null }) {
    this.name = name;
    this.file = file;
    this.address = address;
  }

  /** Have `ready` wait until `settle` is called: `picture` is known then, or need not be. */
  unsettle() {
    this.ready = new Promise((resolve) => { this.settle = resolve; });
  }
}

/** Events: `add`, `remove`, `change` with the item as `detail`. */
export class Collection extends EventTarget {
  #items = new Map();

  get items() {
    return [...this.#items.values()];
  }

  get results() {
    return this.items.flatMap((item) => [...item.results.values()]);
  }

  has(item) {
    return this.#items.has(item.id);
  }

  add(item) {
    this.#items.set(item.id, item);
    this.#tell("add", item);
  }

  /**
   * Take pictures off the page.
   *
   * @returns {[Item, number][]} the pictures with the places where they were, for `putBack`
   */
  remove(items) {
    const leaving = new Set(items);
    const places = this.items.map((item, place) => [item, place]).filter(([item]) => leaving.has(item));
    for (const [item] of places) {
      this.#items.delete(item.id);
      this.#tell("remove", item);
    }
    return places;
  }

  /** Put pictures back where they were; what has come since stays behind them. */
  putBack(places) {
    const all = this.items;
    for (const [item, place] of places) all.splice(place, 0, item);
    this.#items = new Map(all.map((item) => [item.id, item]));
    // From the end, so that each finds the one before which it stands.
    for (const [item] of [...places].reverse()) this.#tell("add", item);
  }

  /** The picture that stands behind another. */
  following(item) {
    const all = this.items;
    return all[all.indexOf(item) + 1] ?? null;
  }

  /** Let go of the memory of a picture that does not come back. */
  release(item) {
    item.released = true;
    if (item.picture) URL.revokeObjectURL(item.picture.url);
    item.picture = null;
  }

  changed(item) {
    if (this.has(item)) this.#tell("change", item);
  }

  #tell(type, item) {
    this.dispatchEvent(new CustomEvent(type, { detail: item }));
  }
}
