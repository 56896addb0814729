/** Going through the captions one by one: what was accepted, how far it is, and what was done, to be undone. */

/** Takes back what was done to pictures, step by step, for as long as the page lives. */
export class History {
  #known = new Map();
  #steps = [];

  get length() {
    return this.#steps.length;
  }

  /** Remember how a picture is before something may be done to it. */
  watch(item) {
    this.#known.set(item, stateOf(item));
  }

  /** Note a step if a watched picture is not as it was; tells whether the words were written or chosen anew. */
  note(item) {
    const before = this.#known.get(item);
    const now = stateOf(item);
    if (!before || same(before, now)) return false;
    this.#steps.push([item, before]);
    this.#known.set(item, now);
    return before.words.some(({ result, edited, chosen }) => result.edited !== edited || result.chosen !== chosen);
  }

  /** Take back the last step; return its picture, or null where none is left. */
  undo() {
    const [item, state] = this.#steps.pop() ?? [null];
    if (!item) return null;
    item.accepted = state.accepted;
    for (const { result, edited, chosen } of state.words) Object.assign(result, { edited, chosen, draft: null });
    this.#known.set(item, stateOf(item));
    return item;
  }
}

function stateOf({ accepted, results }) {
  const words = [...results.values()].map((result) => ({ result, edited: result.edited, chosen: result.chosen }));
  return { accepted, words };
}

const same = (a, b) =>
  a.accepted === b.accepted
  && a.words.length === b.words.length
  && a.words.every((one, at) => ["result", "edited", "chosen"].every((key) => one[key] === b.words[at][key]));

/** Such as "3 of 12 accepted". */
export const progress = (items) => `${items.filter((item) => item.accepted).length} of ${items.length} accepted`;
