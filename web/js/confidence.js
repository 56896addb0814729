/** The model's confidence in words and as a number. */

import { el } from "./dom.js";

const WORDS = [
  [0.55, "Very sure"],
  [0.42, "Fairly sure"],
  [0.28, "Not so sure"],
  [0, "Guessing"],
];

export const percent = (confidence) => `${Math.round(confidence * 100)} %`;

export const inWords = (confidence) => WORDS.find(([least]) => confidence >= least)[1];

/** How well a matcher found a caption to fit, if it was asked. */
export const fit = ({ match_score: score }) => (score === undefined ? "" : ` · fits ${percent(score)}`);

export function confidenceView(confidence, more = "") {
  const filled = el("i");
  filled.style.width = `${Math.round(confidence * 100)}%`;
  return el(
    "p",
    { class: "confidence" },
    el("span", { class: "bar", "aria-hidden": "true" }, filled),
    el("span", {}, el("span", { class: "sr-only" }, "Confidence: "), `${inWords(confidence)} · ${percent(confidence)}${more}`),
  );
}
