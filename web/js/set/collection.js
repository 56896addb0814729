/** The pictures on the page and what is known of them. Views listen; nothing here draws. */

import { unique } from "../lib/dom.js";

/** A caption's state: waiting, working, done, failed or cancelled. */
export class Result {
  state = "waiting";
  /** Said while waiting, such as that the server is busy. */
  note = "";
  captions = [];
  chosen = 0;
  edited = null;
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
}

export class Item {
  id = unique();
  /** Result by model name, in the order they are shown. */
  results = new Map();
  /** Of `prepare`: undefined while it works, null where the browser cannot read the file. */
  picture = undefined;

  /** @param {{name: string, file?: File|Blob, address?: string}} source */
  constructor({ name, file = null, address = null }) {
    this.name = name;
    this.file = file;
    this.address = address;
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

  /** Take a picture off the page and let go of its memory. */
  remove(item) {
    this.#items.delete(item.id);
    this.release(item);
    item.settle();
    this.#tell("remove", item);
  }

  release(item) {
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
