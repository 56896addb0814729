/** The card of one picture. */

import { arrange, button, el, icon, unique } from "../lib/dom.js";
import { Spotlight } from "./attention.js";
import { resultView } from "./result-view.js";

export class Card {
  #item;
  #context;
  #picture;
  #shown = undefined;
  #image = null;
  #results = el("div", { class: "results" });
  #views = new Map();
  #size = el("span");
  #spotlight;

  /**
   * @param {Item} item
   * @param {Object} context
   * @param {AttentionSource} context.source
   * @param {(name: string) => Object} context.model a served model by its name
   * @param {(item: Item, key: string) => void} context.changed called when a result was changed here,
   *   with the key of what is to get the focus; shows the item as it is then
   * @param {(item: Item, result: Result) => void} context.retry
   * @param {(item: Item) => void} context.remove
   * @param {(item: Item) => void} [context.open] opens the picture large; it is large where this is not given
   */
  constructor(item, context) {
    this.#item = item;
    this.#context = context;
    const label = el("span", { class: "looked", hidden: true, "aria-hidden": "true" });
    const canvas = el("canvas", { width: 1, height: 1, "aria-hidden": "true" });
    this.#spotlight = new Spotlight(canvas, label);
    const id = `picture-${unique()}`;
    const remove = () => context.remove(item);
    this.remove = button(
      { class: "remove", title: "Remove", "aria-label": `Remove ${item.name}`, click: remove },
      icon("close"),
    );
    this.#picture = el("div", { class: "picture" }, canvas, label, this.remove);
    this.node = el(
      "li",
      { class: "card" },
      this.#picture,
      el(
        "article",
        { class: "card-body", "aria-labelledby": id },
        el("div", { class: "card-head" }, el("h2", { id, title: item.name }, item.name), this.#size),
        this.#results,
      ),
    );
    this.update();
  }

  /** Show the item as it is now. `focus` is the key of what to focus, if not what was focused. */
  update(focus = null) {
    this.#updatePicture();
    const active = this.#results.contains(document.activeElement) ? document.activeElement : null;
    const key = focus ?? active?.dataset.key;
    const results = [...this.#item.results.values()];
    const before = this.#views;
    this.#views = new Map(
      results.map((result) => {
        const several = results.length > 1;
        const old = before.get(result);
        // An open editor is left alone: the cursor is in it, and maybe half a word.
        const writing = old?.node.querySelector("textarea")?.value === result.draft;
        return [result, writing && old.several === several ? old : { node: this.#view(result, several), several }];
      }),
    );
    arrange(this.#results, [...this.#views.values()].map(({ node }) => node));
    if (this.#image) this.#image.alt = results.find((result) => result.text)?.text ?? "";
    if (key) this.#results.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
  }

  #view(result, several) {
    const { source, model, retry, changed } = this.#context;
    return resultView(this.#item, result, {
      several,
      large: !this.#context.open,
      retry: () => retry(this.#item, result),
      changed: (key) => changed(this.#item, key),
      look: { source, spotlight: this.#spotlight, input: model(result.model)?.input, changed: () => this.update() },
    });
  }

  #openButton() {
    const { open } = this.#context;
    const label = `Open ${this.#item.name} large`;
    return open ? button({ class: "open", title: "Open large", "aria-label": label, click: () => open(this.#item) }) : "";
  }

  /** Give the keyboard its place here: where it came from the picture, on the picture. */
  focus() {
    (this.node.querySelector(".open") ?? this.remove).focus();
  }

  #updatePicture() {
    const { picture, file } = this.#item;
    if (picture === this.#shown) return;
    this.#shown = picture;
    this.#picture.querySelectorAll("img, .open, .no-picture").forEach((old) => old.remove());
    if (picture) {
      this.#image = el("img", { src: picture.url, alt: "", width: picture.width, height: picture.height, decoding: "async" });
      this.#picture.prepend(this.#image, this.#openButton());
      this.#size.textContent = `${picture.width} × ${picture.height}`;
      return;
    }
    this.#image = null;
    const why = file ? "This browser cannot show the file" : "Fetched by the server";
    this.#picture.prepend(el("div", { class: "no-picture" }, icon(file ? "picture" : "link"), why));
  }
}
