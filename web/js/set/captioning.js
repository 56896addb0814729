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

  /**
   * Take pictures off the page, and stop what is done for them.
   *
   * @returns {() => void} brings them back as they were, and goes on with them
   */
  remove(items) {
    const unfinished = items.flatMap((item) =>
      [...item.results.values()].filter(({ asked }) => asked.pending).map((result) => [item, result]),
    );
    for (const item of items) {
      this.#decoders.cancel(item);
      this.#requests.cancel(item);
    }
    const places = this.#collection.remove(items);
    for (const item of items) item.settle();
    return () => {
      this.#collection.putBack(places);
      for (const item of items) if (item.picture === undefined) this.#prepare(item);
      for (const [item, result] of unfinished) {
        // The request that was stopped may still be about to say so: to a result of its own.
        const next = result.state === "done" ? result : new Result(result.model);
        item.results.set(result.model, next);
        this.retry(item, next);
      }
    };
  }

  /**
   * Caption a picture with every chosen model, unless that is done already.
   *
   * What the user wrote stays: there, the new captions are suggestions beneath it.
   */
  caption(item) {
    this.#requests.cancel(item);
    const { models } = this.#choice();
    const before = item.results;
    const stays = (model) => before.get(model)?.byHand || this.#upToDate(before.get(model));
    const others = [...before.values()].filter((result) => result.byHand && !models.includes(result.model));
    const chosen = models.map((model) => (stays(model) ? before.get(model) : new Result(model)));
    item.results = new Map([...others, ...chosen].map((result) => [result.model, result]));
    // Nobody has looked at what is still to come.
    if (chosen.some((result) => before.get(result.model) !== result)) item.accepted = false;
    this.#collection.changed(item);
    for (const result of chosen) if (!this.#upToDate(result)) this.retry(item, result);
  }

  /**
   * Caption every picture anew with what is chosen now.
   *
   * @returns {{kept: number, dropped: number, undo: () => void}} how many captions written by the user
   *   were kept, how many wordings that the user chose were not, and what brings back the captions
   */
  again() {
    const before = this.#collection.items.map((item) => [item, item.results, item.accepted]);
    for (const [item] of before) this.caption(item);
    const all = before.flatMap(([item, results]) => [...results.values()].map((result) => [item, result]));
    const dropped = all.filter(([item, result]) => result.chosen && item.results.get(result.model) !== result);
    const undo = () => before.forEach(([item, results, accepted]) => {
      item.accepted = accepted;
      this.#putBack(item, results);
    });
    return { kept: all.filter(([, result]) => result.byHand).length, dropped: dropped.length, undo };
  }

  /** Whether captioning again would use other models or options. */
  get stale() {
    const { models } = this.#choice();
    return this.#collection.items.some(({ results }) =>
      models.some((model) => !this.#asChosen(results.get(model)))
      || [...results.values()].some((result) => !models.includes(result.model) && !result.byHand),
    );
  }

  /** Caption once more with one model; captions that are there stay until others have come. */
  retry(item, result) {
    const choice = this.#choice();
    result.fresh = result.state === "done" ? new Result(result.model) : null;
    const { asked } = result;
    Object.assign(asked, { state: "waiting", error: null, note: "", fields: this.#fields(result.model) });
    this.#collection.changed(item);
    this.#requests
      .add((signal) => this.#work(item, asked, choice, signal), item)
      .catch((error) => this.#end(item, asked, error));
  }

  retryFailed() {
    for (const item of this.#collection.items) {
      for (const result of item.results.values()) {
        if (["failed", "cancelled"].includes(result.asked.state)) this.retry(item, result);
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

  #fields(model) {
    return { model, ...requestFields(this.#choice(), this.#limits()) };
  }

  /** Whether a result was asked for with what is chosen now; seeds differ each time. */
  #asChosen(result) {
    if (!result) return false;
    const used = { ...result.asked.fields, seed: undefined };
    const wanted = { ...this.#fields(result.model), seed: undefined };
    return [...new Set([...Object.keys(used), ...Object.keys(wanted)])].every((name) => used[name] === wanted[name]);
  }

  #upToDate(result) {
    return this.#asChosen(result) && result.asked.state === "done";
  }

  /** Give a picture the results that it had; what the user has written since stays. */
  #putBack(item, results) {
    this.#requests.cancel(item);
    const written = [...item.results.values()].filter((result) => result.byHand);
    item.results = new Map([...results, ...written.map((result) => [result.model, result])]);
    for (const result of item.results.values()) result.fresh = null;
    this.#collection.changed(item);
  }

  #prepare(item) {
    item.unsettle();
    if (item.address) {
      item.picture = null;
      item.settle();
      return;
    }
    const done = (picture) => {
      // It was removed for good, or removed and brought back, and so prepared twice.
      if (item.released || item.picture) {
        if (picture) URL.revokeObjectURL(picture.url);
        return;
      }
      item.picture = picture;
      this.#collection.changed(item);
      item.settle();
    };
    this.#decoders.add(() => prepare(item.file), item).then(done, (error) => {
      // Removed before its turn came: it is prepared when it is brought back.
      if (error.name !== "AbortError") done(null);
    });
  }

  async #work(item, result, choice, signal) {
    this.#set(item, result, "working");
    await item.ready;
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted();
      try {
        const answer = await postCaption(this.payload(item, choice.original), result.fields, signal);
        result.captions = answer.captions;
        result.version = answer.model?.version ?? null;
        suggest(item.results.get(result.model), result);
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
      this.#set(item, result, "cancelled");
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

/** Put the captions that came beneath what the user wrote, if that is what they were asked for. */
function suggest(shown, fresh) {
  if (shown?.fresh !== fresh) return;
  const { captions, version, fields } = fresh;
  Object.assign(shown, { captions, version, fields, chosen: 0, exploring: false, fresh: null });
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
