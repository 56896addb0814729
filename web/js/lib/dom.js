/**
 * What the page is built of: elements, buttons, bars and icons; and how it speaks.
 *
 * Text only ever becomes text: no HTML is parsed anywhere on the page.
 */

/**
 * @param {string} tag
 * @param {Object} props `class`, `on: {event: handler}`, properties of the element, or attributes
 * @param {...(Node|string|null|false|undefined)} children
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name === "class") node.className = value;
    else if (name === "on") {
      for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    } else if (name in node && !name.startsWith("aria")) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** A button that sends no form; `props` as for `el`, and `click`, what it does. */
export function button({ click, ...props }, ...children) {
  return el("button", { type: "button", on: { click }, ...props }, ...children);
}

export const byId = (id) => document.getElementById(id);

/** Scroll as little as it takes to see all of a node, and its beginning where it is too tall for that. */
export function intoView(node) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  node.scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
}

/** Have a node hold these children in this order, without touching those that are in their places. */
export function arrange(parent, children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const staying = new Set(children);
  for (const old of [...parent.children]) if (!staying.has(old)) old.remove();
  children.forEach((child, place) => {
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
  });
  // What is moved loses the focus.
  if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

export const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

/** Return a number that no other call returns, for ids of elements. */
let last = 0;
export const unique = () => ++last;

// --- shares -----------------------------------------------------------------------------------------

/** A share of 0 to 1 in whole percents. */
export const percents = (share) => Math.round(share * 100);

export const percent = (share) => `${percents(share)} %`;

/** A bar, filled as far as a share of 0 to 1 says; only for the eye, words have to stand beside it. */
export function bar(share) {
  const filled = el("i");
  filled.style.width = `${percents(share)}%`;
  return el("span", { class: "bar", "aria-hidden": "true" }, filled);
}

// --- icons ------------------------------------------------------------------------------------------

const OUTLINES = {
  after: "M9 5l7 7-7 7",
  before: "M15 5l-7 7 7 7",
  caret: "M6 9l6 6 6-6",
  close: "M6 6l12 12M18 6L6 18",
  code: "M8 7l-5 5 5 5M16 7l5 5-5 5M13.500 5l-3 14",
  copy: "M9 9h10a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H9a1 1 0 0 1-1-1V10a1 1 0 0 1 1-1zM5 15H4a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1h10a1 1 0 0 1 1 1v1",
  download: "M12 4v11m0 0l-4.500-4.500M12 15l4.500-4.500M5 20h14",
  edit: "M4 20h4L19 9a2.100 2.100 0 0 0-3-3L5 17v3M14 8l3 3",
  eye: "M2.500 12S6 5.500 12 5.500 21.500 12 21.500 12 18 18.500 12 18.500 2.500 12 2.500 12zM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z",
  link: "M10 14a4 4 0 0 0 6 .500l3-3a4.200 4.200 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6-.500l-3 3a4.200 4.200 0 0 0 6 6l1-1",
  picture: "M4 5h16a1 1 0 0 1 1 1v12a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1zM3 16l5-5 4 4 3-3 6 5M9 9h.010",
  retry: "M20 11a8 8 0 1 0-2 6.500M20 5v6h-6",
};

const SVG = "http://www.w3.org/2000/svg";

/** One of the few icons that scripts put on the page, as an outline on a 24 by 24 grid. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", OUTLINES[name]);
  svg.append(path);
  return svg;
}

// --- speech -----------------------------------------------------------------------------------------

let timer = 0;

/** Tell screen readers what happened, without moving the focus. */
export function announce(text) {
  const region = byId("announcer");
  region.textContent = "";
  clearTimeout(timer);
  // A change that follows an empty region is read even when the words are the same as before.
  timer = setTimeout(() => { region.textContent = text; }, 60);
}
