/** What one model said about one picture: waiting, a failure, or captions and what to do with them. */

import { announce } from "../lib/announce.js";
import { captionText, explore } from "./caption-text.js";
import { copy, FORMS } from "./clipboard.js";
import { confidenceView, fit, percent } from "./confidence.js";
import { el } from "../lib/dom.js";
import { editor } from "./editor.js";
import { advice } from "../server/errors.js";
import { icon } from "../lib/icons.js";

/**
 * @param {Item} item
 * @param {Result} result
 * @param {Object} context
 * @param {boolean} context.several whether other models speak on this card
 * @param {Object} context.look see caption-text.js
 * @param {() => void} context.changed to be called when the result was changed here
 * @param {() => void} context.retry
 */
export function resultView(item, result, context) {
  const label = context.several ? el("h3", { class: "model-name" }, result.model) : null;
  return el("section", { class: "result", "data-state": result.state }, label, ...content(item, result, context));
}

function content(item, result, context) {
  switch (result.state) {
    case "done":
      return result.editing ? [edit(result, context)] : captions(item, result, context);
    case "failed":
      return [failure(result, context)];
    case "cancelled":
      return [cancelled(result, context)];
    default:
      return [waiting(result)];
  }
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

function failure(result, { retry }) {
  const { title, message, requestId } = result.error;
  return el(
    "div",
    { class: "failure" },
    el("strong", {}, title),
    el("p", {}, `${message} ${advice(result.error)}`),
    requestId && result.error.status >= 500 && el("small", {}, `Request ${requestId}`),
    button("Try again", { class: "button small", key: `${result.model} retry`, click: retry }, icon("retry")),
  );
}

function cancelled(result, { retry }) {
  return el(
    "div",
    { class: "waiting" },
    el("p", {}, "Cancelled"),
    el("div", {}, button("Caption it", { class: "button small", key: `${result.model} retry`, click: retry })),
  );
}

function edit(result, { changed }) {
  return editor(result.text, (text) => {
    result.editing = false;
    if (text !== null && text !== result.text) {
      result.edited = text;
      announce("Caption changed");
    }
    changed(`${result.model} edit`);
  });
}

function captions(item, result, context) {
  return [
    captionText(item, result, context.look),
    result.edited === null ? confidenceView(result.confidence, fit(result.captions[result.chosen])) : editedNote(result, context),
    alternatives(result, context),
    actions(item, result, context),
  ];
}

function editedNote(result, { changed }) {
  const undo = () => {
    result.edited = null;
    changed(`${result.model} edit`);
  };
  return el(
    "p",
    { class: "confidence" },
    el("span", { class: "edited" }, "Edited by you"),
    button("Undo", { class: "button small quiet", key: `${result.model} undo`, click: undo }),
  );
}

function alternatives(result, { look, changed }) {
  const others = result.captions
    .map((caption, index) => ({ ...caption, index }))
    .filter(({ index }) => result.edited !== null || index !== result.chosen);
  if (others.length === 0) return null;
  const choose = (index) => {
    Object.assign(result, { chosen: index, edited: null, exploring: false });
    look.spotlight.hide();
    announce(`Caption: ${result.text}`);
    changed(`${result.model} alternatives`);
  };
  const list = others.map(({ text, confidence, index, ...caption }) =>
    el(
      "li",
      {},
      el(
        "button",
        { type: "button", on: { click: () => choose(index) } },
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
      open: result.open ?? false,
      on: { toggle: (event) => { result.open = event.target.open; } },
    },
    el("summary", { "data-key": `${result.model} alternatives` }, words),
    el("ul", { role: "list" }, ...list),
  );
}

function actions(item, result, context) {
  const copies = Object.entries(FORMS).map(([name, form]) => {
    const node = button(
      form.label,
      {
        class: "button small quiet",
        key: `${result.model} copy ${name}`,
        title: form.title,
        click: () => copied(node, form.make(result.text, item.name)),
      },
      name === "text" ? icon("copy") : null,
    );
    node.setAttribute("aria-label", `${form.title} (${form.label})`);
    return node;
  });
  const startEditing = () => {
    Object.assign(result, { editing: true, exploring: false });
    context.look.spotlight.hide();
    context.changed();
  };
  const look = context.look.source.offered(item, result)
    ? button(
        el("span", { class: "look-words" }, "Where it looked"),
        {
          class: "button small quiet",
          key: `${result.model} look`,
          title: "See where in the picture the model looked for each word",
          click: () => explore(item, result, context.look),
        },
        icon("eye"),
      )
    : null;
  look?.setAttribute("aria-pressed", String(result.exploring ?? false));
  return el(
    "div",
    { class: "actions" },
    el("span", { class: "joined", role: "group", "aria-label": "Copy" }, ...copies),
    button("Edit", { class: "button small quiet", key: `${result.model} edit`, click: startEditing }, icon("edit")),
    look,
  );
}

async function copied(node, text) {
  const label = node.lastChild;
  const before = label.data;
  try {
    await copy(text);
    label.data = "Copied";
    announce("Copied");
  } catch {
    label.data = "Could not copy";
    announce("The browser did not allow copying.");
  }
  setTimeout(() => { label.data = before; }, 1500);
}

function button(label, { key, click, ...props }, before = null) {
  return el("button", { type: "button", "data-key": key, on: { click }, ...props }, before, label);
}
