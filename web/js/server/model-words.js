/** A served model in words: how large it is, and what it is good at. */

const MILLION = 1_000_000;

/** Such as "11 million weights, 22 MB". */
export function modelSize({ parameters, weights_bytes: bytes }) {
  const count = parameters >= MILLION ? `${round(parameters / MILLION)} million` : parameters.toLocaleString("en");
  return bytes >= MILLION / 10 ? `${count} weights, ${round(bytes / MILLION)} MB` : `${count} weights`;
}

/** What it is good at where that is on record, otherwise what it was trained on. */
export function modelStrength({ known, data }) {
  if (known?.good_at) return `Good at: ${known.good_at}`;
  const names = (data ?? []).map((source) => source.split(/[,:]/)[0]).filter((name) => name && !/trunk/i.test(name));
  return names.length ? `Trained on ${[...new Set(names)].join(", ")}` : "";
}

const round = (n) => (n < 10 ? Math.round(n * 10) / 10 : Math.round(n));
