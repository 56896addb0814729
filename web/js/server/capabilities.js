/** What this server offers, from its own OpenAPI document and model list. */

import { getJson } from "./api.js";

/**
 * @returns {Promise<{urls: boolean, matching: boolean, models: Object[], limits: Object}>}
 *   `models`: those that caption, the default first; `limits`: an option's schema by the option's name.
 */
export async function discover() {
  const [list, document] = await Promise.all([getJson("v1/models"), getJson("docs.json")]);
  const paths = document.paths ?? {};
  return {
    urls: fetchesUrls(paths),
    matching: "/match" in paths,
    models: list.data.filter(({ kind }) => kind !== "matcher"),
    limits: captionFields(paths),
  };
}

/** A server that fetches nothing takes `data:` addresses only, and says so in their pattern. */
function fetchesUrls(paths) {
  if (!("/caption_url" in paths)) return false;
  const content = paths["/caption_url"].post?.requestBody?.content ?? {};
  const pattern = content["application/json"]?.schema?.properties?.url?.pattern ?? "";
  return new RegExp(pattern).test("https://example.org/");
}

function captionFields(paths) {
  const content = paths["/caption"]?.post?.requestBody?.content ?? {};
  return content["multipart/form-data"]?.schema?.properties ?? {};
}

/** Whether a model can honour an option; a server that does not say may be asked. */
export function honours(model, option) {
  const told = model?.options;
  return Array.isArray(told) ? told.includes(option) : true;
}
