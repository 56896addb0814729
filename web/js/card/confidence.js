/** The model's confidence in words and as a number. */

import { bar, el, percent, percents } from "../lib/dom.js";

// Where the embedded model's captions begin to be worth half of, all of and twice what they are on
// average (CIDEr). `python -m training.confidence_levels --model compact --data DIR` on the 1,000
// pictures of Flickr8k val: of those guessed, 71 % have hardly a word of what people wrote; of the
// others 36 %, 17 % and none. In whole percents, as they are shown beside the words.
const WORDS = [
  [66, "Very sure"],
  [54, "Fairly sure"],
  [35, "Not so sure"],
  [0, "Guessing"],
];

const inWords = (confidence) => WORDS.find(([least]) => percents(confidence) >= least)[1];

/** How well a matcher found a caption to fit, if it was asked. */
export const fit = ({ match_score: score }) => (score === undefined ? "" : ` · fits ${percent(score)}`);

export function confidenceView(confidence, more = "") {
  return el(
    "p",
    { class: "confidence" },
    bar(confidence),
    el("span", {}, el("span", { class: "sr-only" }, "Confidence: "), `${inWords(confidence)} · ${percent(confidence)}${more}`),
  );
}
