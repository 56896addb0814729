/** Sample pictures of our own making, for a visitor who has none at hand. */

import { byId } from "../lib/dom.js";
import { getPicture } from "../server/api.js";

/**
 * @param {(found: {file: Blob, name: string}[]) => void} receive
 * @param {(error: Error) => void} failed
 */
export function offerSamples(receive, failed) {
  for (const button of byId("samples").querySelectorAll("button")) {
    const { name, src } = button.dataset;
    button.addEventListener("click", async () => {
      try {
        receive([{ file: await getPicture(src), name }]);
        // The samples make way for the picture; the keyboard's place is kept on the way in.
        const held = [button, document.body].includes(document.activeElement);
        if (held && button.offsetParent === null) byId("choose").focus();
      } catch (error) {
        failed(error);
      }
    });
  }
}
