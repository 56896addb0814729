/**
 * Makes a picture ready: upright, no larger than a model can use, and light to show.
 *
 * Models look at a few hundred pixels a side. A photograph of a telephone has four thousand: sent
 * as it is, it would take a slow connection a minute, and two hundred of them a browser's memory.
 */

const LONGEST_SIDE = 1024;
const LIGHT_BYTES = 400_000;
// What every server reads; the rest is sent as JPEG where this browser can decode it.
const SENT_AS_IT_IS = new Set(["image/jpeg", "image/png", "image/webp"]);

/**
 * @param {Blob} file
 * @returns {Promise<{blob: Blob, url: string, width: number, height: number}|null>} what to show and
 *   send, with the size of the original; null where this browser cannot read the file. The caller
 *   revokes `url`.
 */
export async function prepare(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return null;
  }
  try {
    const { width, height } = bitmap;
    const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
    const asItIs = scale === 1 && file.size <= LIGHT_BYTES && SENT_AS_IT_IS.has(file.type);
    const blob = asItIs ? file : await shrink(bitmap, scale);
    return { blob, url: URL.createObjectURL(blob), width, height };
  } finally {
    bitmap.close();
  }
}

async function shrink(bitmap, scale) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const pen = canvas.getContext("2d", { alpha: false });
  // JPEG knows no transparency; on white is how a page shows it, and how the server reads it.
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
  canvas.width = canvas.height = 0; // Safari keeps a canvas's memory for long otherwise.
  if (!blob) throw new Error("the picture could not be made smaller");
  return blob;
}
