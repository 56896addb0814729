/** The server's HTTP interface. Addresses are relative, so a proxy may put a prefix before them. */

import { ApiError, unreachable } from "./errors.js";

const KEY = "captionbox.key";

let askForKey = async () => null;
let key = recall();
let asking = null;

/** Set what asks the user for a key: a function from the server's refusal to a key or null. */
export function whenKeyIsNeeded(ask) {
  askForKey = ask;
}

// The key stays until the tab is closed, and goes nowhere but to this server.
function recall() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function remember(value) {
  key = value;
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // Storage is switched off: the key lasts until the page is left.
  }
}

export const getJson = (address, signal) => request(address, { signal });

/** A picture of this server's own. */
export async function getPicture(address) {
  const response = await send(address, {}, null);
  if (!response.ok) throw await refusal(response);
  return await reached(response.blob());
}

/** Whether this server was given a key. */
export const usesKey = () => key !== null;

/** Caption a picture; `picture` is a Blob to send, or the address of one for the server to fetch. */
export function postCaption(picture, fields, signal) {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
  if (typeof picture === "string") {
    const body = JSON.stringify({ url: picture, ...Object.fromEntries(given) });
    const headers = { "Content-Type": "application/json" };
    return request("caption_url", { method: "POST", body, headers, signal });
  }
  const form = new FormData();
  // The file's own name is the user's business.
  form.append("image", picture, "picture");
  for (const [name, value] of given) form.append(name, String(value));
  return request("caption", { method: "POST", body: form, signal });
}

export function postMatch(picture, texts, signal) {
  const form = new FormData();
  form.append("image", picture, "picture");
  for (const text of texts) form.append("texts", text);
  return request("match", { method: "POST", body: form, signal });
}

async function request(address, options) {
  for (;;) {
    const used = key;
    const response = await send(address, options, used);
    if (response.ok) return await reached(response.json());
    const error = await refusal(response);
    if (error.status !== 401) throw error;
    // Of many requests that are refused at once, one asks and the others wait for the answer.
    if (key === used) await askOnce(used ? error : null);
    if (key === used) throw error;
    options.signal?.throwIfAborted();
  }
}

function askOnce(error) {
  asking ??= askForKey(error)
    .then((answer) => { if (answer) remember(answer); })
    .finally(() => { asking = null; });
  return asking;
}

function send(address, options, used) {
  const headers = { Accept: "application/json", ...options.headers };
  if (used) headers.Authorization = `Bearer ${used}`;
  return reached(fetch(address, { ...options, headers, credentials: "same-origin" }));
}

/** What comes over the network; when nothing does, and nobody gave it up, the server is out of reach. */
async function reached(coming) {
  try {
    return await coming;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
}

async function refusal(response) {
  const wait = Number.parseFloat(response.headers.get("Retry-After") ?? "");
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // Something in between answered, such as a proxy: the status has to do.
  }
  const details = problem && typeof problem === "object" ? problem : {};
  return new ApiError(response.status, details, Number.isFinite(wait) ? wait : null);
}
