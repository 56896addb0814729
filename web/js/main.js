/** Puts the page together. */

import { announce, button, byId, el } from "./lib/dom.js";
import { whenKeyIsNeeded } from "./server/api.js";
import { discover, honours } from "./server/capabilities.js";
import { asApiError, explain } from "./server/errors.js";
import { askForKey } from "./server/key-dialog.js";
import { OptionsPanel } from "./options/panel.js";
import { requestFields } from "./options/request-options.js";
import { AttentionSource } from "./card/attention.js";
import { Card } from "./card/card.js";
import { Matching } from "./matching/matching.js";
import { showTabs } from "./matching/tabs.js";
import { photograph } from "./set/camera.js";
import { Captioning } from "./set/captioning.js";
import { Collection, Item } from "./set/collection.js";
import { isPicture, listen } from "./set/intake.js";
import { Toolbar } from "./set/toolbar.js";

const RETRY_START = 2000;

const collection = new Collection();
const options = new OptionsPanel(byId("options"), () => toolbar.update());
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
  again: () => {
    options.shuffle();
    for (const item of collection.items) captioning.caption(item);
  },
  removeAll: () => {
    for (const item of collection.items) captioning.remove(item);
    byId("choose").focus();
  },
  stale,
});

/** Whether captioning again would use other models or options. */
function stale() {
  const { choice } = options;
  const wanted = { ...requestFields(choice, options.limits), seed: undefined };
  return collection.items.some((item) => {
    if ([...item.results.keys()].join() !== choice.models.join()) return true;
    return [...item.results.values()].some((result) => {
      const { model, ...used } = { ...result.fields, seed: undefined };
      return !sameFields(used, wanted);
    });
  });
}

const sameFields = (a, b) => [...new Set([...Object.keys(a), ...Object.keys(b)])].every((name) => a[name] === b[name]);

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

collection.addEventListener("add", ({ detail: item }) => {
  const card = new Card(item, {
    source,
    model: (name) => server.models.find((model) => model.id === name),
    changed: () => toolbar.update(),
    retry: (...which) => captioning.retry(...which),
    remove,
  });
  cards.set(item.id, card);
  byId("cards").append(card.node);
  document.body.classList.add("has-pictures");
});

collection.addEventListener("change", ({ detail: item }) => cards.get(item.id).update());

collection.addEventListener("remove", ({ detail: item }) => {
  cards.get(item.id).node.remove();
  cards.delete(item.id);
  document.body.classList.toggle("has-pictures", cards.size > 0);
});

function remove(item) {
  const ids = [...cards.keys()];
  const place = ids.indexOf(item.id);
  const next = ids[place + 1] ?? ids[place - 1];
  captioning.remove(item);
  announce(`${item.name} removed`);
  (cards.get(next)?.remove ?? byId("choose")).focus();
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
  const [first, ...others] = server.models;
  byId("served").textContent = others.length
    ? `Models: ${server.models.map((model) => model.id).join(", ")}`
    : `Model: ${first.id} ${first.version ?? ""}`;
  if (server.matching && !matching) {
    matching = new Matching(byId("panel-matching"), () => byId("file-input").click());
    showTabs(() => banner(""));
  }
  const waiting = early;
  early = [];
  waiting.forEach(add);
}

// Captions exist on this page only: what was written by hand is not to be lost by a slip.
addEventListener("beforeunload", (event) => {
  if (collection.results.some((result) => result.edited !== null)) event.preventDefault();
});

whenKeyIsNeeded(askForKey);
listen({ files: receive, address: receiveAddress, camera: photograph });
void connect();
