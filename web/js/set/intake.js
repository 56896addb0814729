/** The ways in: drop (folders too), choose, paste, photograph, address. */

import { byId, isMac } from "../lib/dom.js";

const ENDINGS = /\.(avif|bmp|gif|heic|heif|jfif|jpe?g|jp2|jxl|mpo|png|tiff?|webp)$/i;

export const isPicture = (file) => file.type.startsWith("image/") || ENDINGS.test(file.name);

/** Files of a drop, folders opened, each with its path as its name. */
async function dropped(transfer) {
  // The entries are gone once this function has let go of the event, the first await included.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files].map(named);
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

const named = (file) => ({ file, name: file.name });

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ file, name: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // A hundred at a time.
    const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (batch.length === 0) return;
    batch.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
    for (const child of batch) await walk(child, found);
  }
}

const holdsFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;

/** Take what is dropped anywhere on the page. */
function listenForDrops(receive) {
  const curtain = byId("dropping");
  let depth = 0;
  const show = (change) => {
    depth = Math.max(0, change);
    curtain.hidden = depth === 0;
  };
  addEventListener("dragenter", (event) => {
    if (holdsFiles(event)) show(depth + 1);
  });
  addEventListener("dragleave", (event) => {
    if (holdsFiles(event)) show(depth - 1);
  });
  addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  addEventListener("drop", async (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    show(0);
    receive(await dropped(event.dataTransfer));
  });
}

function listenForPaste(receive, receiveAddress) {
  let pasted = 0;
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) {
      event.preventDefault();
      receive(files.map((file) => {
        // Browsers call every picture of the clipboard "image.png".
        const own = file.name && file.name !== "image.png";
        return own ? named(file) : { file, name: `Pasted ${(pasted += 1)}.${file.type.split("/")[1] ?? "png"}` };
      }));
    } else if (!event.target.closest?.("input, textarea")) {
      receiveAddress(event.clipboardData?.getData("text/plain").trim() ?? "");
    }
  });
}

/**
 * @param {Object} to
 * @param {({file: Blob, name: string})[] => void} to.files
 * @param {(address: string) => void} to.address
 * @param {() => Promise<Blob|null>} to.camera takes a photograph, where this machine has a camera
 */
export function listen(to) {
  listenForDrops(to.files);
  listenForPaste(to.files, to.address);
  byId("paste-key").textContent = isMac ? "⌘" : "Ctrl";
  for (const [button, input] of [["choose", "file-input"], ["photograph", "camera-input"]]) {
    const field = byId(input);
    field.addEventListener("change", () => {
      to.files([...field.files].map(named));
      field.value = ""; // The same file may be chosen again.
    });
    if (button === "choose") byId(button).addEventListener("click", () => field.click());
  }
  byId("url-form").addEventListener("submit", (event) => {
    event.preventDefault();
    to.address(byId("url-input").value.trim());
    byId("url-input").value = "";
  });
  void offerCamera(to);
}

/** A telephone opens its own camera through the file field; elsewhere the page shows it. */
async function offerCamera(to) {
  const button = byId("photograph");
  let photographs = 0;
  if (matchMedia("(pointer: coarse)").matches) {
    button.addEventListener("click", () => byId("camera-input").click());
    return;
  }
  const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  if (!devices.some((device) => device.kind === "videoinput")) return;
  button.classList.add("there");
  button.addEventListener("click", async () => {
    const file = await to.camera();
    if (file) to.files([{ file, name: `Photo ${(photographs += 1)}.jpg` }]);
  });
}
