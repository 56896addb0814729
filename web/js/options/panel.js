/** The options: how many captions, by which models, and under "More options" how they are written. */

import { button, el, icon, intoView, unique } from "../lib/dom.js";
import { honours } from "../server/capabilities.js";
import { modelSize, modelStrength } from "../server/model-words.js";
import { STYLES } from "./request-options.js";

const STORED = "captionbox.options";
const DEFAULTS = { count: 3, models: [], style: "standard", temperature: 0.8, longest: null, prompt: "", original: false, rerank: false };
const LENGTHS = [["As the model likes", null], ["About 8 words", 10], ["About 12 words", 14], ["About 20 words", 24], ["About 40 words", 48]];

const newSeed = () => Math.floor(Math.random() * 2 ** 31);

function recall() {
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(STORED) ?? "{}") };
  } catch {
    return { ...DEFAULTS };
  }
}

export class OptionsPanel {
  #form;
  #changed;
  #code;
  #choice = recall();
  #seed = newSeed();
  #models = [];
  #limits = {};
  #matching = false;

  /**
   * @param {HTMLFormElement} form
   * @param {() => void} changed called after every change
   * @param {() => void} code shows the request for use in programs
   */
  constructor(form, changed, code) {
    this.#form = form;
    this.#changed = changed;
    this.#code = code;
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  /** What is chosen now. */
  get choice() {
    const rerank = this.#matching && this.#choice.rerank;
    return { ...this.#choice, models: this.#chosenModels(), seed: this.#seed, rerank };
  }

  get limits() {
    return this.#limits;
  }

  /** Have the next captions of the varied style be other ones. */
  shuffle() {
    this.#seed = newSeed();
  }

  /** Build the form for what the server offers. */
  offer({ models, limits, matching }) {
    this.#models = models;
    this.#matching = matching;
    this.#limits = limits;
    if (!(this.#choice.style in STYLES)) this.#choice.style = DEFAULTS.style;
    const { maximum: most = 10 } = limits.num_captions ?? {};
    this.#choice.count = Math.min(most, Math.max(1, Number(this.#choice.count) || DEFAULTS.count));
    const more = this.#more();
    const toggle = button({
      class: "button small quiet opens",
      "aria-expanded": "false",
      "aria-controls": "more-options",
      click: () => {
        more.hidden = !more.hidden;
        toggle.setAttribute("aria-expanded", String(!more.hidden));
        if (!more.hidden) intoView(more);
      },
    }, "More options", icon("caret"));
    const code = button({ class: "button small quiet", click: () => this.#code() }, icon("code"), "Use it from code");
    this.#form.replaceChildren(
      el("div", { class: "option-row" }, this.#count(most), models.length > 1 && this.#modelChips(), toggle, code),
      more,
    );
  }

  #chosenModels() {
    const served = this.#models.map((model) => model.id);
    const chosen = served.filter((name) => this.#choice.models.includes(name));
    return chosen.length ? chosen : served.slice(0, 1);
  }

  #set(change) {
    Object.assign(this.#choice, change);
    try {
      localStorage.setItem(STORED, JSON.stringify(this.#choice));
    } catch {
      // Storage is switched off: the choice holds until the page is left.
    }
    this.#changed();
  }

  #count(most) {
    const numbers = Array.from({ length: most }, (_, index) => index + 1);
    const select = el(
      "select",
      { on: { change: () => this.#set({ count: Number(select.value) }) } },
      ...numbers.map((n) => el("option", { value: n, selected: n === this.#choice.count }, String(n))),
    );
    return el("label", {}, "Captions per picture", select);
  }

  #modelChips() {
    const chosen = this.#chosenModels();
    const boxes = this.#models.map((model) =>
      el("input", { type: "checkbox", value: model.id, checked: chosen.includes(model.id), on: { change: () => pick() } }),
    );
    const pick = () => {
      const models = boxes.filter((box) => box.checked).map((box) => box.value);
      // None would caption nothing.
      if (models.length === 0) boxes[0].checked = true;
      this.#set({ models: models.length ? models : [boxes[0].value] });
    };
    return el(
      "fieldset",
      {},
      el("legend", {}, "Models"),
      ...boxes.map((box, index) => {
        const model = this.#models[index];
        const size = el("small", { id: `model-${unique()}` }, modelSize(model));
        box.setAttribute("aria-describedby", size.id);
        return el("label", { class: "chip", title: modelStrength(model) }, box, el("span", {}, model.id), size);
      }),
    );
  }

  #more() {
    return el(
      "div",
      { class: "more-options", id: "more-options", hidden: true },
      this.#styles(),
      el("div", {}, this.#longest(), this.#prompt(), this.#rerank(), this.#shrink()),
    );
  }

  #styles() {
    const slider = el("input", {
      type: "range", min: 0.3, max: 1.5, step: 0.1, value: this.#choice.temperature,
      on: { change: () => this.#set({ temperature: Number(slider.value) }) },
    });
    const free = el("label", { class: "field", hidden: this.#choice.style !== "varied" }, el("span", {}, "How freely"), slider);
    const choices = Object.entries(STYLES).map(([name, [title, what]]) => {
      const radio = el("input", {
        type: "radio", name: "style", value: name, checked: name === this.#choice.style,
        on: {
          change: () => {
            free.hidden = name !== "varied";
            this.#set({ style: name });
          },
        },
      });
      return el("label", { class: "choice" }, radio, el("span", {}, title, el("small", {}, what)));
    });
    return el("fieldset", {}, el("legend", {}, "Style"), ...choices, free);
  }

  #longest() {
    const { minimum = 4, maximum = 64 } = this.#limits.max_length ?? {};
    const select = el(
      "select",
      { on: { change: () => this.#set({ longest: Number(select.value) || null }) } },
      ...LENGTHS.filter(([, tokens]) => tokens === null || (tokens >= minimum && tokens <= maximum)).map(
        ([label, tokens]) => el("option", { value: tokens ?? "", selected: tokens === this.#choice.longest }, label),
      ),
    );
    return el("label", { class: "field" }, el("span", {}, "Longest caption"), select);
  }

  #prompt() {
    // Only where a model says that it takes one: to the others it would be an error.
    if (!this.#models.some((model) => Array.isArray(model.options) && honours(model, "prompt"))) {
      this.#choice.prompt = "";
      return null;
    }
    const input = el("input", {
      type: "text", value: this.#choice.prompt, maxLength: this.#limits.prompt?.maxLength ?? 500,
      placeholder: "a photograph of",
      on: { change: () => this.#set({ prompt: input.value.trim() }) },
    });
    return el("label", { class: "field" }, el("span", {}, "Begin with, or answer"), input);
  }

  #rerank() {
    if (!this.#matching) return null;
    const box = el("input", {
      type: "checkbox", checked: this.#choice.rerank,
      on: { change: () => this.#set({ rerank: box.checked }) },
    });
    const what = "A second model, which only compares, picks the captions that fit the picture best; slower.";
    return el("label", { class: "choice" }, box, el("span", {}, "Have the captions checked against the picture", el("small", {}, what)));
  }

  #shrink() {
    const box = el("input", {
      type: "checkbox", checked: !this.#choice.original,
      on: { change: () => this.#set({ original: !box.checked }) },
    });
    const what = "Much faster on a slow connection; models look at small pictures anyway. A shrunk photo leaves its place and camera data behind.";
    return el("label", { class: "choice" }, box, el("span", {}, "Shrink large pictures before sending", el("small", {}, what)));
  }
}
