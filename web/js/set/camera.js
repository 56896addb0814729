/** Takes a photograph with the computer's camera. */

import { button, el, unique } from "../lib/dom.js";

/** @returns {Promise<Blob|null>} a JPEG, or null when it was given up */
export async function photograph() {
  const id = `camera-${unique()}`;
  const video = el("video", { autoplay: true, muted: true, playsInline: true });
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const shoot = el("button", { type: "button", class: "button primary", disabled: true }, "Take the photo");
  const cancel = button({ class: "button", click: () => dialog.close() }, "Cancel");
  const dialog = el(
    "dialog",
    { "aria-labelledby": id },
    el("h2", { id }, "Take a photo"),
    el("p", {}, "The camera's picture stays in this window until you take the photo."),
    video,
    problem,
    el("div", { class: "dialog-actions" }, cancel, shoot),
  );
  document.body.append(dialog);
  dialog.showModal();
  let stream = null;
  const ended = new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(null));
    shoot.addEventListener("click", () => resolve(snapshot(video)));
  });
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1920 } } });
    if (dialog.open) {
      video.srcObject = stream;
      await video.play();
      shoot.disabled = false;
      shoot.focus();
    }
  } catch {
    problem.textContent = "The camera cannot be used. Allow it in the browser's settings for this page, or choose a file.";
    problem.hidden = false;
  }
  const blob = await ended;
  for (const track of stream?.getTracks() ?? []) track.stop();
  dialog.remove();
  return blob;
}

function snapshot(video) {
  const canvas = el("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}
