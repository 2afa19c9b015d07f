// Processes that are ending: one sentence for whoever looks after them, for as long as there is something to say.

import { HOME, below } from "./address.js";
import { fetchWithin } from "./browser.js";
import { REQUEST_TIMEOUT } from "./signalling.js";

const LOOK_INTERVAL = 2000; // ms; a drain lasts some seconds

/** Say it in an element, and again while the page is looked at. */
export async function showEnding(element) {
  for (;;) {
    if (document.visibilityState === "visible") {
      try {
        const response = await fetchWithin(REQUEST_TIMEOUT, below(HOME, "api/nodes"), { cache: "no-store" });
        if (response.status === 401 || response.status === 403) return; // rights are not what they were
        if (response.ok) element.textContent = endingOf(await response.json());
      } catch {
        element.textContent = ""; // the page itself says that nothing gets through
      }
      element.hidden = element.textContent === "";
    }
    await new Promise((over) => setTimeout(over, LOOK_INTERVAL));
  }
}

/** The processes that drain, and what they still have. */
export function endingOf(nodes) {
  return nodes
    .filter((node) => node.alive && node.draining)
    .map((node) => {
      const left = [
        [node.viewers, "viewer"],
        [node.role === "ingest" ? node.cameras.length : 0, "camera"],
      ].filter(([count]) => count);
      const words = left.map(([count, word]) => `${count} ${word}${count === 1 ? "" : "s"}`).join(", ");
      return `${node.node} is draining${words ? `: ${words} still there` : ""}.`;
    })
    .join(" ");
}
