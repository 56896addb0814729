/** Where the model looked for each word: asks the server for it and draws it over the picture. */

import { postCaption } from "../server/api.js";

const DRAWN = 112;
const DARKEST = 0.74;

/** Gets the words' maps, once a caption. */
export class AttentionSource {
  /** Names of models that have turned out to have no maps. */
  unable = new Set();
  #payload;
  #learnt;
  #asked = new WeakMap();

  /**
   * @param {(item: Item) => Blob|string} payload what is sent for a picture
   * @param {() => void} learnt called when a model has turned out to have no maps
   */
  constructor(payload, learnt) {
    this.#payload = payload;
    this.#learnt = learnt;
  }

  /** Whether there may be maps for the caption that is shown. */
  offered(item, result) {
    return !this.unable.has(result.model) && result.edited === null && Boolean(item.picture);
  }

  /**
   * @returns {Promise<{word: string, attention: number[][]}[]>} of the caption that is shown
   * @throws {ApiError}
   */
  async words(item, result) {
    const caption = result.captions[result.chosen];
    if (caption.words) return caption.words;
    if (!this.#asked.has(caption)) {
      const asked = this.#ask(item, result).catch((error) => {
        this.#asked.delete(caption); // May be asked again.
        if (error.kind === "unsupported-option") {
          this.unable.add(result.model);
          this.#learnt();
        }
        throw error;
      });
      // The answer has the words of every caption of the picture.
      for (const each of result.captions) this.#asked.set(each, asked);
    }
    await this.#asked.get(caption);
    return caption.words ?? [];
  }

  async #ask(item, result) {
    const answer = await postCaption(this.#payload(item), { ...result.fields, attention: true });
    for (const caption of result.captions) {
      caption.words = answer.captions.find(({ text }) => text === caption.text)?.words ?? [];
    }
  }
}

/** Darkens the picture where the model did not look. */
export class Spotlight {
  #canvas;
  #label;

  constructor(canvas, label) {
    this.#canvas = canvas;
    this.#label = label;
  }

  /**
   * @param {{word: string, attention: number[][]}} word
   * @param {{width: number, height: number}} size of the picture
   * @param {Object} input the model's input, as `/v1/models` tells it
   */
  show(word, size, input) {
    draw(this.#canvas, word.attention, seenArea(size, input));
    this.#canvas.classList.add("shown");
    this.say(`“${word.word}” · ${whereabouts(word.attention)}`);
  }

  say(text) {
    this.#label.textContent = text;
    this.#label.hidden = !text;
  }

  hide() {
    this.#canvas.classList.remove("shown");
    this.say("");
  }
}

/** The part of the picture that the model saw, in units of the picture's width and height. */
function seenArea({ width, height }, input) {
  const wanted = (input?.width ?? 1) / (input?.height ?? 1);
  const wide = width / height / wanted;
  const all = { x: 0, y: 0, width: 1, height: 1, aspect: width / height };
  const fit = input?.fit ?? "squash";
  if (fit === "squash" || wide === 1) return all;
  // A crop loses the longer side's ends; padding makes the shorter side longer than the picture.
  if ((fit === "crop") === wide > 1) return { ...all, x: (1 - 1 / wide) / 2, width: 1 / wide };
  return { ...all, y: (1 - wide) / 2, height: wide };
}

function draw(canvas, grid, area) {
  const width = (canvas.width = Math.round(area.aspect >= 1 ? DRAWN : DRAWN * area.aspect) || 1);
  const height = (canvas.height = Math.round(area.aspect >= 1 ? DRAWN / area.aspect : DRAWN) || 1);
  const values = new Float64Array(width * height);
  let most = 0;
  let least = Infinity;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const u = ((x + 0.5) / width - area.x) / area.width;
      const v = ((y + 0.5) / height - area.y) / area.height;
      const value = u < 0 || u > 1 || v < 0 || v > 1 ? 0 : smooth(grid, u, v);
      values[y * width + x] = value;
      most = Math.max(most, value);
      least = Math.min(least, value);
    }
  }
  const image = new ImageData(width, height);
  const flat = most - least <= 1e-6 * most;
  values.forEach((value, index) => {
    const bright = flat ? 1 : (value - least) / (most - least);
    image.data[index * 4 + 3] = Math.round(255 * DARKEST * (1 - bright) ** 1.4);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** The grid's value at (u, v) in 0..1, by a cubic B-spline: soft, and no brighter than its cells. */
function smooth(grid, u, v) {
  const rows = grid.length;
  const columns = grid[0].length;
  const x = u * columns - 0.5;
  const y = v * rows - 0.5;
  let sum = 0;
  for (let j = -1; j <= 2; j += 1) {
    const row = grid[clamp(Math.floor(y) + j, rows)];
    const weight = spline(y - Math.floor(y) - j);
    for (let i = -1; i <= 2; i += 1) {
      sum += weight * spline(x - Math.floor(x) - i) * row[clamp(Math.floor(x) + i, columns)];
    }
  }
  return sum;
}

const clamp = (index, length) => Math.min(length - 1, Math.max(0, index));

function spline(t) {
  const d = Math.abs(t);
  if (d < 1) return (4 - 6 * d * d + 3 * d ** 3) / 6;
  return d < 2 ? (2 - d) ** 3 / 6 : 0;
}

/** The place in words, for those who cannot see the spotlight. */
export function whereabouts(grid) {
  const cells = grid.flatMap((row, y) => row.map((value, x) => ({ x, y, value })));
  const sum = cells.reduce((total, { value }) => total + value, 0) || 1;
  const peak = Math.max(...cells.map(({ value }) => value));
  if (peak * cells.length < 2 * sum) return "all over the picture";
  // Faint cells everywhere would pull every word to the centre.
  const strong = cells.filter(({ value }) => value > peak / 3);
  const mass = strong.reduce((total, { value }) => total + value, 0);
  const mean = (axis) => strong.reduce((total, cell) => total + cell[axis] * cell.value, 0) / mass;
  const third = (place, length) => Math.min(2, Math.floor(((place + 0.5) / length) * 3));
  const row = ["upper", "", "lower"][third(mean("y"), grid.length)];
  const column = ["left", "", "right"][third(mean("x"), grid[0].length)];
  if (!row && !column) return "centre";
  if (!column) return `${row} middle`;
  return [row, column].filter(Boolean).join(" ");
}
