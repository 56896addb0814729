/** A picture opened large, with all its captions, and the way to its neighbours. */

import { announce, button, byId, el, icon } from "../lib/dom.js";

export class Large {
  #make;
  #shown;
  #closed;
  #item = null;
  #card = null;
  #list = el("ul", { class: "cards", role: "list" });
  #place = el("p", { class: "place" });
  #before;
  #after;
  #dialog;

  /**
   * @param {Object} to
   * @param {(item: Item) => Card} to.make makes the card that is shown large
   * @param {() => Item[]} to.shown the pictures that can be gone through, in order
   * @param {(item: Item) => void} to.closed called with the picture that was shown last
   */
  constructor({ make, shown, closed }) {
    this.#make = make;
    this.#shown = shown;
    this.#closed = closed;
    this.#before = this.#step("Previous picture", "before", -1);
    this.#after = this.#step("Next picture", "after", 1);
    const close = button(
      { class: "button small quiet", title: "Close", "aria-label": "Close", click: () => this.#dialog.close() },
      icon("close"),
    );
    this.#dialog = el(
      "dialog",
      { class: "large", on: { close: () => this.#leave(), keydown: (event) => this.#key(event) } },
      el("div", { class: "large-bar" }, this.#place, this.#before, this.#after, close),
      this.#list,
    );
    document.body.append(this.#dialog);
  }

  open(item) {
    this.#show(item);
    // What is said and offered meanwhile has to be inside: all else is out of reach.
    this.#dialog.append(byId("undo-bar"), byId("announcer"));
    this.#dialog.showModal();
  }

  /** Show a picture as it is now, if it is the one that is open. */
  update(item, focus = null) {
    if (item === this.#item) this.#card.update(focus);
  }

  /** Close if a picture that is gone is the one that is open. */
  gone(item) {
    if (item === this.#item) this.#dialog.close();
  }

  #show(item) {
    this.#item = item;
    this.#card = this.#make(item);
    this.#list.replaceChildren(this.#card.node);
    const { all, place } = this.#where();
    this.#place.textContent = `${place + 1} of ${all.length}`;
    this.#before.disabled = place <= 0;
    this.#after.disabled = place === all.length - 1;
    this.#dialog.setAttribute("aria-label", item.name);
  }

  #where() {
    const all = this.#shown();
    return { all, place: all.indexOf(this.#item) };
  }

  #go(step) {
    const { all, place } = this.#where();
    const next = all[place + step];
    if (!next) return;
    this.#show(next);
    announce(`${next.name}. ${[...next.results.values()].map((result) => result.text).join(" ")}`);
    if (document.activeElement?.disabled || document.activeElement === document.body) this.#dialog.focus();
  }

  #step(label, name, by) {
    return button({ class: "button small", title: label, "aria-label": label, click: () => this.#go(by) }, icon(name));
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.target.matches("textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.#go(step);
  }

  #leave() {
    document.querySelector("main").append(byId("undo-bar"));
    document.body.append(byId("announcer"));
    this.#list.replaceChildren();
    const item = this.#item;
    this.#item = this.#card = null;
    this.#closed(item);
  }
}
