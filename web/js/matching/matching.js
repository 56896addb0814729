/** The Matching tab: texts, ranked by how well they fit a picture. */

import { announce, bar, button, el, icon, percent } from "../lib/dom.js";
import { prepare } from "../lib/prepare.js";
import { postMatch } from "../server/api.js";
import { asApiError, explain } from "../server/errors.js";

const MOST_TEXTS = 32;
const RANK = "Rank the texts";

export class Matching {
  #file = null;
  #picture = null;
  #frame = el("div", { class: "picture" });
  #texts;
  #outcome = el("div");
  #button;

  /**
   * @param {HTMLElement} panel
   * @param {() => void} choose opens the file chooser
   */
  constructor(panel, choose) {
    this.#texts = el("textarea", { id: "match-texts", rows: 6, required: true, placeholder: "a dog on a beach\na cat in a tree" });
    this.#button = el("button", { class: "button primary" }, RANK);
    const form = el(
      "form",
      { on: { submit: (event) => { event.preventDefault(); void this.#match(); } } },
      el("label", { htmlFor: "match-texts" }, `Texts, one a line, up to ${MOST_TEXTS}`),
      this.#texts,
      this.#button,
      this.#outcome,
    );
    const left = el(
      "div",
      {},
      this.#frame,
      el("p", { class: "drop-actions" }, button({ class: "button", click: choose }, "Choose a picture")),
    );
    panel.append(el("div", { class: "matching" }, el("h1", {}, "Which text fits the picture?"), left, form));
    this.#show();
  }

  /** Take a picture; of several, the first. */
  async receive([{ file, name }]) {
    if (this.#picture) URL.revokeObjectURL(this.#picture.url);
    this.#file = file;
    this.#picture = await prepare(file);
    this.#outcome.replaceChildren();
    this.#show();
    announce(`${name} chosen`);
  }

  #show() {
    const words = this.#file ? ["This browser cannot show the file"] : [el("span", { class: "with-mouse" }, "Drop, paste or choose a picture"), el("span", { class: "with-finger" }, "Choose a picture")];
    this.#frame.replaceChildren(
      this.#picture
        ? el("img", { src: this.#picture.url, alt: "The chosen picture" })
        : el("div", { class: "no-picture" }, icon("picture"), ...words),
    );
  }

  async #match() {
    const texts = this.#texts.value.split("\n").map((text) => text.trim()).filter(Boolean);
    if (!this.#file) return this.#fail("Choose a picture first.");
    if (texts.length === 0) return this.#fail("Write at least one text.");
    if (texts.length > MOST_TEXTS) return this.#fail(`At most ${MOST_TEXTS} texts; there are ${texts.length}.`);
    this.#button.disabled = true;
    this.#button.textContent = "Ranking …";
    this.#outcome.replaceChildren(el("div", { class: "waiting busy", "aria-hidden": "true" }, el("i"), el("i")));
    announce("Ranking");
    try {
      const { matches } = await postMatch(this.#picture?.blob ?? this.#file, texts);
      this.#outcome.replaceChildren(ranking(matches));
      announce(`Fits best: ${matches[0].text}`);
    } catch (error) {
      this.#fail(explain(asApiError(error)));
    } finally {
      this.#button.disabled = false;
      this.#button.textContent = RANK;
    }
  }

  #fail(message) {
    this.#outcome.replaceChildren(el("p", { class: "failure", role: "alert" }, message));
  }
}

function ranking(matches) {
  return el(
    "ol",
    { class: "ranking", role: "list", "aria-label": "Best first" },
    ...matches.map(({ text, score }) => el("li", {}, `${text} · ${percent(score)}`, bar(score))),
  );
}
