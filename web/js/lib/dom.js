/** Building elements. Text only ever becomes text: no HTML is parsed anywhere on the page. */

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

export const byId = (id) => document.getElementById(id);

/** Return a number that no other call returns, for ids of elements. */
let last = 0;
export const unique = () => ++last;
