/** Which pictures of the set are shown, and in which order. */

import { announce, button, el } from "../lib/dom.js";
import { holds, wordList } from "./words.js";

const MOST_WORDS = 60;
const PAUSE = 120;

/** How sure the models were, the least sure one counting; what has no caption needs a look the most. */
function sureness(item) {
  const sure = [...item.results.values()].map((result) => {
    if (result.state === "failed") return -1;
    // Somebody has looked at it.
    return result.edited === null ? result.confidence ?? 2 : 2;
  });
  return Math.min(2, ...sure);
}

const ORDERS = {
  added: ["As they were added", () => 0],
  doubtful: ["Needs a look first", (a, b) => sureness(a) - sureness(b)],
  sure: ["Surest first", (a, b) => sureness(b) - sureness(a)],
};

export class Shelf {
  #node;
  #collection;
  #show;
  #wanted = { text: "", exactly: false };
  #order = "added";
  #shown = [];
  #timer = 0;
  #field;
  #orders;
  #count = el("p", { class: "shelf-count" });
  #all;
  #words = el("ul", { role: "list", class: "shelf-words", "aria-label": "Words of the captions" });
  #list;

  /**
   * @param {HTMLElement} node
   * @param {Collection} collection
   * @param {(shown: Item[]) => void} show called with the pictures to show, in order
   */
  constructor(node, collection, show) {
    this.#node = node;
    this.#collection = collection;
    this.#show = show;
    this.#field = el("input", {
      type: "search", id: "shelf-filter", placeholder: "such as dog", autocomplete: "off",
      on: { input: () => this.#filter({ text: this.#field.value, exactly: false }) },
    });
    this.#orders = el(
      "select",
      { id: "shelf-order", on: { change: () => this.#sort(this.#orders.value) } },
      ...Object.entries(ORDERS).map(([name, [label]]) => el("option", { value: name }, label)),
    );
    this.#all = button({ class: "button small", hidden: true, click: () => this.#showAll() }, "Show all");
    this.#list = el("details", { class: "shelf-list" }, el("summary", {}, "Words in this set"), this.#words);
    node.append(
      el("label", { htmlFor: "shelf-filter" }, "Filter by word"), this.#field,
      el("label", { htmlFor: "shelf-order" }, "Order"), this.#orders,
      this.#count, this.#all, this.#list,
    );
    for (const event of ["add", "change", "remove"]) collection.addEventListener(event, () => this.update());
  }

  /** The pictures that are shown, in order. */
  get shown() {
    const there = this.#shown.filter((item) => this.#collection.has(item));
    return there.length ? there : this.#collection.items;
  }

  /** See anew what is to be shown, a moment later: many pictures change at once. */
  update() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      // Nothing moves under the hands of somebody who is writing.
      if (document.activeElement?.closest(".cards")?.querySelector("textarea:focus")) this.update();
      else this.#update();
    }, PAUSE);
  }

  #filter(wanted) {
    this.#wanted = wanted;
    this.#field.value = wanted.text;
    this.#update();
    announce(this.#count.textContent || "All pictures are shown");
  }

  #sort(order) {
    this.#order = order;
    this.#update();
    announce(`Order: ${ORDERS[order][0]}`);
  }

  #showAll() {
    this.#filter({ text: "", exactly: false });
    this.#field.focus();
  }

  #update() {
    const { items } = this.#collection;
    const { text, exactly } = this.#wanted;
    const done = items.filter((item) => [...item.results.values()].some((result) => result.text));
    this.#node.hidden = items.length < 2 || done.length === 0;
    // What is still to come is not taken for something that was not looked for.
    const fits = (item) => !text.trim() || holds(item, text, exactly);
    this.#shown = (this.#node.hidden ? items : items.filter(fits)).toSorted(ORDERS[this.#order][1]);
    const some = this.#shown.length < items.length;
    this.#count.textContent = some ? `${this.#shown.length} of ${items.length} shown` : "";
    this.#all.hidden = !some;
    this.#updateWords(done);
    this.#show(this.#shown);
  }

  #updateWords(items) {
    const { text, exactly } = this.#wanted;
    const focused = this.#words.contains(document.activeElement) ? document.activeElement.dataset.word : null;
    const words = wordList(items).slice(0, MOST_WORDS);
    this.#words.replaceChildren(
      ...words.map(([word, count]) => {
        const chosen = exactly && word === text;
        const click = () => this.#filter({ text: chosen ? "" : word, exactly: !chosen });
        const label = `${word}, ${count === 1 ? "1 picture" : `${count} pictures`}`;
        const attributes = { class: "button small", "data-word": word, "aria-pressed": String(chosen), "aria-label": label };
        return el("li", {}, button({ ...attributes, click }, word, el("small", {}, String(count))));
      }),
    );
    this.#list.hidden = words.length === 0;
    if (focused) this.#words.querySelector(`[data-word="${CSS.escape(focused)}"]`)?.focus();
  }
}
