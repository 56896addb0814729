/** What one model said about one picture: waiting, a failure, or captions and what to do with them. */

import { button, el, icon, percent } from "../lib/dom.js";
import { explain } from "../server/errors.js";
import { actions } from "./actions.js";
import { captionText, lookButton } from "./caption-text.js";
import { confidenceView, fit } from "./confidence.js";
import { edit, editedNote, replace } from "./editor.js";

/**
 * @param {Item} item
 * @param {Result} result
 * @param {Object} context
 * @param {boolean} context.several whether other models speak on this card
 * @param {boolean} context.large whether there is room for all captions
 * @param {Object} context.look see caption-text.js
 * @param {(key: string) => void} context.changed to be called when the result was changed here, with
 *   the key of what is to get the focus
 * @param {() => void} context.retry
 */
export function resultView(item, result, context) {
  const label = context.several ? el("h3", { class: "model-name" }, result.model) : null;
  return el("section", { class: "result", "data-state": result.state }, label, ...content(item, result, context));
}

function content(item, result, context) {
  if (result.state !== "done") return [missing(result, context)];
  return result.draft === null ? captions(item, result, context) : [edit(item, result, context)];
}

/** In the place of captions that are not there, or not yet. */
function missing(result, context) {
  if (result.state === "failed") return failure(result, context);
  return result.state === "cancelled" ? cancelled(result, context) : waiting(result);
}

function waiting(result) {
  const busy = result.state === "working";
  const words = result.note || (busy ? "Looking at it …" : "Waiting");
  return el(
    "div",
    { class: busy ? "waiting busy" : "waiting" },
    el("i", { "aria-hidden": "true" }),
    el("i", { "aria-hidden": "true" }),
    el("p", {}, words),
  );
}

function failure({ model, error }, { retry }) {
  return el(
    "div",
    { class: "failure" },
    el("strong", {}, error.title),
    el("p", {}, explain(error)),
    error.requestId && error.status >= 500 && el("small", {}, `Request ${error.requestId}`),
    button({ class: "button small", "data-key": `${model} retry`, click: retry }, icon("retry"), "Try again"),
  );
}

function cancelled({ model }, { retry }) {
  return el(
    "div",
    { class: "waiting" },
    el("p", {}, "Cancelled"),
    el("div", {}, button({ class: "button small", "data-key": `${model} retry`, click: retry }, "Caption it")),
  );
}

function captions(item, result, context) {
  return [
    captionText(item, result, context.look),
    assurance(item, result, context),
    result.fresh && missing(result.fresh, context),
    alternatives(item, result, context),
    actions(item, result, context),
  ];
}

/** How sure the model is and where it looked, or that the words are the user's. */
function assurance(item, result, context) {
  if (result.edited !== null) return editedNote(item, result, context);
  const sure = confidenceView(result.confidence, fit(result.captions[result.chosen]));
  return el("div", { class: "assurance" }, sure, lookButton(item, result, context.look));
}

function alternatives(item, result, context) {
  const others = result.captions
    .map((caption, index) => ({ ...caption, index }))
    .filter(({ index }) => result.edited !== null || index !== result.chosen);
  if (others.length === 0) return null;
  const choose = (index) => {
    context.look.spotlight.hide();
    replace(item, result, index, context);
  };
  const list = others.map(({ text, confidence, index, ...caption }) =>
    el(
      "li",
      {},
      button(
        { click: () => choose(index) },
        el("span", { class: "sr-only" }, "Use instead: "),
        text,
        el("span", {}, `${percent(confidence)}${fit(caption)}`),
      ),
    ),
  );
  const words = others.length === 1 ? "1 other way to put it" : `${others.length} other ways to put it`;
  return el(
    "details",
    {
      class: "alternatives",
      open: context.large || (result.open ?? false),
      on: { toggle: (event) => { if (!context.large) result.open = event.target.open; } },
    },
    el("summary", { "data-key": `${result.model} alternatives` }, words),
    el("ul", { role: "list" }, ...list),
  );
}
