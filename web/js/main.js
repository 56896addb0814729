/** Puts the page together. */

import { announce, arrange, button, byId, el } from "./lib/dom.js";
import { listenForUndo, offerUndo } from "./lib/undo.js";
import { usesKey, whenKeyIsNeeded } from "./server/api.js";
import { discover, honours } from "./server/capabilities.js";
import { asApiError, explain } from "./server/errors.js";
import { askForKey } from "./server/key-dialog.js";
import { modelSize, modelStrength } from "./server/model-words.js";
import { showCode } from "./options/code-dialog.js";
import { OptionsPanel } from "./options/panel.js";
import { requestFields } from "./options/request-options.js";
import { AttentionSource } from "./card/attention.js";
import { Card } from "./card/card.js";
import { Large } from "./card/large.js";
import { Matching } from "./matching/matching.js";
import { showTabs } from "./matching/tabs.js";
import { photograph } from "./set/camera.js";
import { Captioning } from "./set/captioning.js";
import { Collection, Item } from "./set/collection.js";
import { isPicture, listen } from "./set/intake.js";
import { offerSamples } from "./set/samples.js";
import { Shelf } from "./set/shelf.js";
import { Toolbar, pictures } from "./set/toolbar.js";

const RETRY_START = 2000;

const collection = new Collection();
const options = new OptionsPanel(byId("options"), () => toolbar.update(), code);
const captioning = new Captioning(collection, () => options.choice, () => options.limits);
const source = new AttentionSource(
  (item) => captioning.payload(item, options.choice.original),
  () => collection.items.forEach((item) => collection.changed(item)),
);
const cards = new Map();
let server = null;
let matching = null;
let early = [];

const toolbar = new Toolbar(byId("toolbar"), collection, {
  cancel: () => captioning.cancel(),
  retryFailed: () => captioning.retryFailed(),
  again,
  removeAll,
  stale: () => captioning.stale,
});

const shelf = new Shelf(byId("shelf"), collection, (shown) => {
  const nodes = shown.map((item) => cards.get(item.id).node);
  const seen = new Set(nodes);
  const others = [...cards.values()].map(({ node }) => node).filter((node) => !seen.has(node));
  for (const node of nodes) node.hidden = false;
  for (const node of others) node.hidden = true;
  arrange(byId("cards"), [...nodes, ...others]);
});

// --- pictures ---------------------------------------------------------------------------------------

function receive(found) {
  if (!found.length) return;
  if (matching && !byId("panel-matching").hidden) {
    void matching.receive(found);
    return;
  }
  const pictures = found.filter(({ file }) => isPicture(file));
  const left = found.length - pictures.length;
  if (left) {
    const what = left === 1 ? `${found.find(({ file }) => !isPicture(file)).name} is not a picture and was` : `${left} files are not pictures and were`;
    banner(`${what} left out.`);
  } else banner("");
  for (const { file, name } of pictures) add(new Item({ file, name }));
}

function receiveAddress(address) {
  if (!server?.urls || !/^https?:\/\/\S+$/i.test(address)) return;
  add(new Item({ name: address.replace(/[?#].*/, "").split("/").pop() || address, address }));
}

function add(item) {
  // Nothing is lost of what is dropped before the server has answered.
  if (server) captioning.add(item);
  else {
    early.push(item);
    if (early.length === 1) banner("Waiting for the server …");
  }
}

const context = {
  source,
  model: (name) => server.models.find((model) => model.id === name),
  retry: (...which) => captioning.retry(...which),
  remove,
};

const large = new Large({
  make: (item) => new Card(item, { ...context, changed: changedInLarge }),
  shown: () => shelf.shown,
  closed: (item) => cards.get(item?.id)?.focus(),
});

function changedOnCard(item, key) {
  cards.get(item.id)?.update(key);
  large.update(item);
  toolbar.update();
  shelf.update();
}

function changedInLarge(item, key) {
  cards.get(item.id)?.update();
  large.update(item, key);
  toolbar.update();
  shelf.update();
}

collection.addEventListener("add", ({ detail: item }) => {
  const card = new Card(item, { ...context, changed: changedOnCard, open: (item) => large.open(item) });
  cards.set(item.id, card);
  byId("cards").insertBefore(card.node, cards.get(collection.following(item)?.id)?.node ?? null);
  document.body.classList.add("has-pictures");
});

collection.addEventListener("change", ({ detail: item }) => {
  cards.get(item.id).update();
  large.update(item);
});

collection.addEventListener("remove", ({ detail: item }) => {
  large.gone(item);
  cards.get(item.id).node.remove();
  cards.delete(item.id);
  document.body.classList.toggle("has-pictures", cards.size > 0);
});

function remove(item) {
  const { shown } = shelf;
  const place = shown.indexOf(item);
  takeOff([item], `Removed “${item.name}”.`);
  focusOn(shown[place + 1] ?? shown[place - 1]);
}

function removeAll() {
  const { items } = collection;
  takeOff(items, `Removed ${pictures(items.length)}.`);
  focusOn(null);
}

function takeOff(items, words) {
  const bringBack = captioning.remove(items);
  const undo = () => {
    bringBack();
    announce(items.length === 1 ? `${items[0].name} is back` : `${pictures(items.length)} are back`);
    focusOn(items[0]);
  };
  offerUndo(words, undo, { lapsed: () => items.forEach((item) => collection.release(item)) });
}

function focusOn(item) {
  (cards.get(item?.id)?.remove ?? byId("choose")).focus();
}

function code() {
  const { choice, limits } = options;
  const requests = choice.models.map((model) => ({ model, ...requestFields(choice, limits) }));
  const [first] = shelf.shown;
  showCode({ name: first?.name ?? "photo.jpg", address: first?.address ?? null }, requests, usesKey());
}

function again() {
  options.shuffle();
  const { kept, dropped, undo } = captioning.again();
  const were = (n, what) => (n === 1 ? `1 ${what} was` : `${n} ${what}s were`);
  const words = [];
  if (kept) words.push(`${were(kept, "edited caption")} kept; suggestions are beneath.`);
  if (dropped) words.push(`${were(dropped, "chosen wording")} replaced.`);
  if (words.length) offerUndo(words.join(" "), undo);
}

// --- server -----------------------------------------------------------------------------------------

function banner(text, ...more) {
  const node = byId("banner");
  node.hidden = !text;
  node.replaceChildren(text, ...more);
}

async function connect() {
  try {
    server = await discover();
  } catch (error) {
    const problem = asApiError(error);
    const again = button({ class: "button small", click: () => void connect() }, "Try again");
    banner(`${explain(problem)} `, again);
    if (problem.passing) setTimeout(() => { if (!server) void connect(); }, RETRY_START);
    return;
  }
  banner("");
  options.offer(server);
  for (const model of server.models) if (!honours(model, "attention")) source.unable.add(model.id);
  byId("url-form").hidden = !server.urls;
  byId("served").replaceChildren(...server.models.map(aboutModel));
  if (server.matching && !matching) {
    matching = new Matching(byId("panel-matching"), () => byId("file-input").click());
    showTabs((tab) => {
      banner("");
      byId("about-confidence").hidden = tab === "matching";
    });
  }
  const waiting = early;
  early = [];
  waiting.forEach(add);
}

function aboutModel(model) {
  const words = [modelSize(model), modelStrength(model)].filter(Boolean).join(". ");
  return el("li", { title: `Version ${model.version}` }, el("b", {}, model.id), ` ${words}`);
}

// Captions exist on this page only: what was written by hand is not to be lost by a slip.
addEventListener("beforeunload", (event) => {
  if (collection.results.some((result) => result.unsaved)) event.preventDefault();
});

whenKeyIsNeeded(askForKey);
listenForUndo();
offerSamples(receive, (error) => banner(explain(asApiError(error))));
listen({ files: receive, address: receiveAddress, camera: photograph });
void connect();
