/** A caption whose words can be pointed at to see where the model looked. */

import { announce, button, el, icon } from "../lib/dom.js";
import { asApiError } from "../server/errors.js";
import { whereabouts } from "./attention.js";

const LINGER = 200;

/** Cut a text into plain strings and the words that there are maps for, in order. */
function pieces(text, words) {
  const found = [];
  let at = 0;
  for (const { word, attention } of words) {
    // A server may tell the words as the model wrote them, before the sentence got its capital.
    const start = text.toLowerCase().indexOf(word.toLowerCase(), at);
    if (start < 0 || attention.length === 0) continue;
    const end = start + word.length;
    if (start > at) found.push(text.slice(at, start));
    found.push({ word: text.slice(start, end), attention });
    at = end;
  }
  if (at < text.length) found.push(text.slice(at));
  return found;
}

/**
 * @param {Item} item
 * @param {Result} result a done one
 * @param {{source: AttentionSource, spotlight: Spotlight, input: Object, changed: () => void}} look
 */
export function captionText(item, result, look) {
  const text = el("p", { class: "caption", lang: "en" }, result.text);
  if (!look.source.offered(item, result)) return text;

  const light = (word, node) => {
    for (const lit of text.querySelectorAll(".lit")) lit.classList.remove("lit");
    node.classList.add("lit");
    look.spotlight.show(word, item.picture, look.input);
  };
  const dark = () => {
    for (const lit of text.querySelectorAll(".lit")) lit.classList.remove("lit");
    look.spotlight.hide();
  };

  const fill = (words) => {
    text.replaceChildren(
      ...pieces(result.text, words).map((piece) => {
        if (typeof piece === "string") return piece;
        // Buttons only once they are asked for: a dozen stops on the way of the Tab key is many.
        const node = result.exploring
          ? el("button", {
              type: "button",
              class: "word",
              "aria-label": `${piece.word}: ${whereabouts(piece.attention)}`,
              on: { focus: () => light(piece, node), click: () => light(piece, node) },
            }, piece.word)
          : el("span", { class: "word" }, piece.word);
        node.addEventListener("pointerenter", () => light(piece, node));
        return node;
      }),
    );
  };

  const known = result.captions[result.chosen].words;
  if (known) fill(known);

  let timer = 0;
  text.addEventListener("pointerenter", (event) => {
    if (event.pointerType !== "mouse" || result.captions[result.chosen].words) return;
    timer = setTimeout(async () => {
      try {
        const words = await look.source.words(item, result);
        if (!text.isConnected) return;
        fill(words);
        // The pointer may rest on a word already.
        const under = text.querySelector(".word:hover");
        under?.dispatchEvent(new PointerEvent("pointerenter"));
      } catch (error) {
        // Nobody asked in so many words: where there is nothing to see, nothing is said.
        if (error.status === undefined) throw error;
      }
    }, LINGER);
  });
  text.addEventListener("pointerleave", () => {
    clearTimeout(timer);
    if (!result.exploring) dark();
  });
  return text;
}

/** The button that shows where the model looked; null where nothing can be shown. */
export function lookButton(item, result, look) {
  if (!look.source.offered(item, result)) return null;
  return button(
    {
      class: "button small quiet look",
      "data-key": `${result.model} look`,
      title: "See where in the picture the model looked for each word",
      "aria-pressed": String(result.exploring ?? false),
      click: () => explore(item, result, look),
    },
    icon("eye"),
    "Where it looked",
  );
}

/** Turn the words into buttons, or back. */
async function explore(item, result, look) {
  if (result.exploring) {
    result.exploring = false;
    look.spotlight.hide();
    look.changed();
    return;
  }
  try {
    const words = await look.source.words(item, result);
    if (words.length === 0) throw new Error("The server sent no maps for this caption.");
    result.exploring = true;
    look.changed();
    look.spotlight.say("Point at a word, or tap it");
    announce("The words of the caption are buttons now. Go through them to hear where the model looked.");
  } catch (error) {
    const unable = look.source.unable.has(result.model);
    const reason = unable ? "This model cannot show where it looked." : asApiError(error).message;
    look.changed();
    look.spotlight.say(reason);
    announce(reason);
  }
}
