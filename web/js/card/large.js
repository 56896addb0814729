/** A picture opened large, with all its captions and the way to its neighbours; and the review of a set. */

import { announce, button, byId, el, icon } from "../lib/dom.js";
import { History, progress } from "./review.js";

export class Large {
  #to;
  #items = [];
  #item = null;
  #card = null;
  #history = new History();
  #list = el("ul", { class: "cards", role: "list" });
  #place = el("p", { class: "place" });
  #undo;
  #accept;
  #before;
  #after;
  #dialog;

  /**
   * @param {Object} to
   * @param {(item: Item) => Card} to.make makes the card that is shown large
   * @param {() => Item[]} to.shown the pictures that can be gone through, in order
   * @param {(item: Item) => void} to.changed called when a picture was accepted, or something was undone
   * @param {(item: Item) => void} to.closed called with the picture that was shown last
   */
  constructor(to) {
    this.#to = to;
    this.#undo = button({ class: "button small", title: "Take back the last step (U)", click: () => this.#takeBack() }, "Undo");
    this.#accept = button({ class: "button small primary", click: () => this.#acceptIt() }, "Accept");
    this.#before = step("Previous picture (K)", "before", () => this.#go(-1));
    this.#after = step("Next picture (J)", "after", () => this.#go(1));
    const close = button(
      { class: "button small quiet", title: "Close", "aria-label": "Close", click: () => this.#dialog.close() },
      icon("close"),
    );
    this.#dialog = el(
      "dialog",
      { class: "large", on: { close: () => this.#leave(), keydown: (event) => this.#key(event) } },
      el("div", { class: "large-bar" }, this.#place, this.#undo, this.#accept, this.#before, this.#after, close),
      this.#list,
      hint(),
    );
  }

  open(item) {
    // As they stand now: accepting one may change the order of those on the page.
    this.#items = this.#to.shown();
    this.#show(item);
    // What is said and offered meanwhile has to be inside: all else is out of reach.
    document.body.append(this.#dialog);
    this.#dialog.append(byId("undo-bar"), byId("announcer"));
    this.#dialog.showModal();
    this.#accept.focus();
  }

  /** Open the first picture that nobody has accepted, or the first of all. */
  review() {
    const shown = this.#to.shown();
    this.open(shown.find((item) => !item.accepted) ?? shown[0]);
  }

  /** Show a picture as it is now, if it is the one that is open. */
  update(item, focus = null) {
    if (item !== this.#item) return;
    this.#card.update(focus);
    // Captions that come meanwhile are no step of the user's.
    if (focus === null) this.#history.watch(item);
    this.#updateBar();
  }

  /** Note what was done to the picture that is open, and show it. */
  done(item, focus) {
    if (item !== this.#item) return;
    const written = this.#history.note(item) && [...item.results.values()].some(({ edited, chosen }) => edited !== null || chosen);
    if (written) {
      // Whoever wrote or chose the words has looked at them: one step, and Enter goes on.
      item.accepted = true;
      this.#history.watch(item);
    }
    this.#card.update(focus);
    this.#updateBar();
    if (written) this.#accept.focus();
  }

  /** Close if a picture that is gone is the one that is open. */
  gone(item) {
    if (item === this.#item) this.#dialog.close();
  }

  #show(item) {
    this.#item = item;
    this.#history.watch(item);
    this.#card = this.#to.make(item);
    this.#list.replaceChildren(this.#card.node);
    this.#dialog.setAttribute("aria-label", item.name);
    this.#updateBar();
  }

  #updateBar() {
    const place = this.#items.indexOf(this.#item);
    this.#place.textContent = `${place + 1} of ${this.#items.length} · ${progress(this.#items)}`;
    this.#before.disabled = place <= 0;
    this.#after.disabled = place === this.#items.length - 1;
    this.#undo.disabled = this.#history.length === 0;
    this.#accept.disabled = ![...this.#item.results.values()].some((result) => result.state === "done");
    this.#accept.textContent = this.#item.accepted ? "Accepted" : "Accept";
  }

  #go(by) {
    const next = this.#items[this.#items.indexOf(this.#item) + by];
    if (!next) return;
    this.#show(next);
    announce(`${next.name}. ${[...next.results.values()].map((result) => result.text).join(" ")}`);
    this.#keepFocus();
  }

  #acceptIt() {
    const item = this.#item;
    if (!item.accepted) {
      item.accepted = true;
      this.#history.note(item);
      this.#to.changed(item);
    }
    if (this.#items.at(-1) === item) announce(`The last one. ${progress(this.#items)}`);
    this.#updateBar();
    this.#go(1);
  }

  #takeBack() {
    const item = this.#history.undo();
    if (!item) return;
    this.#to.changed(item);
    if (this.#items.includes(item)) this.#show(item);
    this.#keepFocus();
    announce(`Taken back: ${item.name}`);
  }

  /** Have the focus on something that can be pressed: what was pressed may be switched off or gone. */
  #keepFocus() {
    const { activeElement } = document;
    if (this.#dialog.contains(activeElement) && activeElement !== this.#dialog && !activeElement.disabled) return;
    [this.#accept, this.#after, this.#before].find((node) => !node.disabled)?.focus();
  }

  #key(event) {
    if (event.target.matches("textarea")) return;
    const { key, ctrlKey, metaKey, altKey } = event;
    const act = ctrlKey || metaKey ? this.#chord(key) : !altKey && this.#plain(key);
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** Ctrl+Z is for what the bar offers to undo, as long as it offers something. */
  #chord(key) {
    return key.toLowerCase() === "z" && byId("undo-bar").hidden && (() => this.#takeBack());
  }

  #plain(key) {
    const acts = {
      ArrowLeft: () => this.#go(-1),
      ArrowRight: () => this.#go(1),
      e: () => this.#list.querySelector('[data-key$=" edit"]')?.click(),
      j: () => this.#go(1),
      k: () => this.#go(-1),
      u: () => this.#takeBack(),
    };
    return acts[key.length === 1 ? key.toLowerCase() : key];
  }

  #leave() {
    document.querySelector("main").append(byId("undo-bar"));
    document.body.append(byId("announcer"));
    this.#list.replaceChildren();
    this.#dialog.remove();
    const item = this.#item;
    this.#item = this.#card = null;
    this.#to.closed(item);
  }
}

const step = (label, name, click) =>
  button({ class: "button small", title: label, "aria-label": label, click }, icon(name));

/** The keys, for those who have some. */
function hint() {
  const keys = [["Enter", "accept"], ["E", "edit"], ["J", "next"], ["K", "back"], ["U", "undo"]];
  const words = keys.flatMap(([key, what]) => [el("kbd", {}, key), ` ${what} `]);
  return el("p", { class: "keys with-mouse" }, ...words);
}
