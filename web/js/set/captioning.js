/** Has the pictures captioned: prepares them, sends them, tries again where the server is busy. */

import { prepare } from "../lib/prepare.js";
import { Queue } from "../lib/queue.js";
import { postCaption } from "../server/api.js";
import { asApiError } from "../server/errors.js";
import { requestFields } from "../options/request-options.js";
import { Result } from "./collection.js";

// More than this gains nothing: browsers open six connections to a server, and two are for the user.
const REQUESTS = 4;
const DECODERS = 2;
const TRIES = 6;
const LONGEST_WAIT = 20;

export class Captioning {
  #collection;
  #choice;
  #limits;
  #decoders = new Queue(DECODERS);
  #requests = new Queue(REQUESTS);

  /**
   * @param {Collection} collection
   * @param {() => Object} choice what the user has chosen, now
   * @param {() => Object} limits an option's schema by its name
   */
  constructor(collection, choice, limits) {
    this.#collection = collection;
    this.#choice = choice;
    this.#limits = limits;
  }

  /** Show a picture and caption it with every chosen model. */
  add(item) {
    this.#collection.add(item);
    this.#prepare(item);
    this.caption(item);
  }

  remove(item) {
    this.#decoders.cancel(item);
    this.#requests.cancel(item);
    this.#collection.remove(item);
  }

  /** Caption a picture (anew) with every chosen model. */
  caption(item) {
    this.#requests.cancel(item);
    item.results = new Map(this.#choice().models.map((model) => [model, new Result(model)]));
    for (const result of item.results.values()) this.retry(item, result);
  }

  /** Caption once more with one model. */
  retry(item, result) {
    const choice = this.#choice();
    Object.assign(result, { state: "waiting", error: null, note: "" });
    result.fields = { model: result.model, ...requestFields(choice, this.#limits()) };
    this.#collection.changed(item);
    this.#requests
      .add((signal) => this.#work(item, result, choice, signal), item)
      .catch((error) => this.#end(item, result, error));
  }

  retryFailed() {
    for (const item of this.#collection.items) {
      for (const result of item.results.values()) {
        if (result.state === "failed" || result.state === "cancelled") this.retry(item, result);
      }
    }
  }

  /** Stop everything that is not done. */
  cancel() {
    this.#requests.cancel();
  }

  /** What is sent for a picture. */
  payload(item, original) {
    if (item.address) return item.address;
    return !original && item.picture ? item.picture.blob : item.file;
  }

  #prepare(item) {
    if (item.address) {
      item.picture = null;
      item.settle();
      return;
    }
    const done = (picture) => {
      item.picture = picture;
      if (this.#collection.has(item)) this.#collection.changed(item);
      else this.#collection.release(item);
      item.settle();
    };
    this.#decoders.add(() => prepare(item.file), item).then(done, () => done(null));
  }

  async #work(item, result, choice, signal) {
    this.#set(item, result, "working");
    await item.ready;
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted();
      try {
        const answer = await postCaption(this.payload(item, choice.original), result.fields, signal);
        Object.assign(result, { captions: answer.captions, chosen: 0, edited: null });
        result.version = answer.model?.version ?? null;
        this.#set(item, result, "done");
        return;
      } catch (error) {
        if (!error.passing || attempt === TRIES) throw error;
        const wait = Math.min(LONGEST_WAIT, (error.retryAfter ?? 1) * 1.4 ** (attempt - 1));
        this.#set(item, result, "waiting", "The server is busy; trying again in a moment");
        // Not all at the same moment.
        await sleep(1000 * wait * (0.8 + 0.4 * Math.random()), signal);
        this.#set(item, result, "working");
      }
    }
  }

  #end(item, result, error) {
    if (error.name === "AbortError") {
      // A picture that is being captioned anew has other results by now.
      if (item.results.get(result.model) === result) this.#set(item, result, "cancelled");
      return;
    }
    result.error = asApiError(error);
    this.#set(item, result, "failed");
  }

  #set(item, result, state, note = "") {
    result.state = state;
    result.note = note;
    this.#collection.changed(item);
  }
}

function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("cancelled", "AbortError"));
    });
  });
}
