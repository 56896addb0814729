/** The words of a set of captions, and in which pictures they are. */

// Words that say nothing of what is in a picture.
const COMMON = new Set(
  `a an and are as at be being by down for from has have her his in into is it its near next of off on one or out over
  she he that the their them there they this through to two up while who with another other some very what`.split(/\s+/),
);

/** The words of a text in small letters. */
const wordsOf = (text) => text.toLowerCase().match(/\p{L}[\p{L}\p{N}]*(?:['’-][\p{L}\p{N}]+)*/gu) ?? [];

/** What is said of a picture, by all models. */
const said = (item) => [...item.results.values()].map((result) => result.text).join("\n");

/**
 * @param {Item[]} items
 * @returns {[string, number][]} words that tell pictures apart, each with in how many it is, most first
 */
export function wordList(items) {
  const counts = new Map();
  for (const item of items) {
    for (const word of new Set(wordsOf(said(item)))) if (!COMMON.has(word)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].sort(([a, n], [b, m]) => m - n || a.localeCompare(b));
}

/** Whether every word that is looked for is in the caption of a picture, or begins one of its words. */
export function holds(item, wanted, exactly) {
  const words = wordsOf(said(item));
  return wordsOf(wanted).every((part) => words.some((word) => (exactly ? word === part : word.startsWith(part))));
}
