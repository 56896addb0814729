/** The whole set as files: CSV, JSON Lines, and text files named after the pictures. */

import { zip } from "./zip.js";

/** One row a picture and model; pictures without a caption say why. */
function rows(items) {
  return items.flatMap((item) =>
    [...item.results.values()].map((result) => ({
      file: item.name,
      model: result.model,
      version: result.version,
      caption: result.state === "done" ? result.text : "",
      confidence: result.state === "done" ? result.confidence : null,
      edited: result.edited !== null,
      width: item.picture?.width ?? null,
      height: item.picture?.height ?? null,
      captions: result.state === "done" ? result.captions : [],
      error: result.error ? result.error.message : null,
    })),
  );
}

const COLUMNS = ["file", "model", "caption", "confidence", "edited", "alternatives", "error"];

function csvField(value) {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** RFC 4180, with the mark by which spreadsheets know UTF-8. */
export function csv(items) {
  const lines = [COLUMNS.join(",")];
  for (const row of rows(items)) {
    const others = row.captions.map(({ text }) => text).filter((text) => text !== row.caption);
    const values = { ...row, alternatives: others.join(" | ") };
    lines.push(COLUMNS.map((column) => csvField(values[column])).join(","));
  }
  return new Blob(["\uFEFF", lines.join("\r\n"), "\r\n"], { type: "text/csv;charset=utf-8" });
}

export function jsonl(items) {
  const lines = rows(items).map((row) => {
    const captions = row.captions.map(({ text, confidence, log_prob, match_score }) => ({ text, confidence, log_prob, match_score }));
    return `${JSON.stringify({ ...row, captions })}\n`;
  });
  return new Blob(lines, { type: "application/jsonl;charset=utf-8" });
}

/** `holiday.jpg` gets `holiday.txt`; with several models, in a folder for each. */
export function sidecars(items) {
  const done = rows(items).filter((row) => row.caption !== "");
  const several = new Set(done.map((row) => row.model)).size > 1;
  const taken = new Set();
  const files = done.map((row) => {
    const folder = several ? `${safe(row.model)}/` : "";
    const path = free(`${folder}${stem(row.file)}`, taken);
    return [`${path}.txt`, `${row.caption}\n`];
  });
  return zip(files);
}

const safe = (name) => name.replaceAll(/[\\/:*?"<>|\u0000-\u001f]/g, "_").replace(/^\.+/, "_");

/** A path inside the archive, folders kept, ending removed; never one that leads out of it. */
function stem(name) {
  const parts = name.split("/").filter((part) => part && part !== "." && part !== "..").map(safe);
  const last = (parts.pop() ?? "picture").replace(/(?<=.)\.[^.]*$/, "");
  return [...parts, last].join("/");
}

function free(path, taken) {
  let found = path;
  // Names that differ in case only are one file on many systems.
  for (let n = 2; taken.has(found.toLowerCase()); n += 1) found = `${path}-${n}`;
  taken.add(found.toLowerCase());
  return found;
}
