// The cluster's processes, for whoever looks after them: what drains, in one sentence, and all of them where one unfolds
// the list, each with a button that has it drain.

import { HOME, below } from "./address.js";
import { isSure, tell } from "./asking.js";
import { fetchWithin } from "./browser.js";
import { call } from "./call.js";
import { REQUEST_TIMEOUT } from "./signalling.js";

const LOOK_INTERVAL = 2000; // ms; a drain lasts some seconds

/**
 * Show them, and again while the page is looked at.
 * @param {HTMLElement} ending says what drains
 * @param {HTMLDetailsElement} fold has the list
 */
export async function showProcesses(ending, fold) {
  fold.hidden = false;
  fold.ontoggle = () => fold.open && look();
  for (;;) {
    if (document.visibilityState === "visible" && !(await look())) return;
    await new Promise((over) => setTimeout(over, LOOK_INTERVAL));
  }

  /** Resolves to whether one may look. */
  async function look() {
    try {
      const response = await fetchWithin(REQUEST_TIMEOUT, below(HOME, "api/nodes"), { cache: "no-store" });
      if (response.status === 401 || response.status === 403) return false; // rights are not what they were
      if (response.ok) show(await response.json());
    } catch {
      ending.textContent = ""; // the page itself says that nothing gets through
    }
    ending.hidden = ending.textContent === "";
    return true;
  }

  function show(nodes) {
    ending.textContent = endingOf(nodes);
    if (fold.open) list(fold.querySelector("ul"), nodes);
  }
}

/** The processes that drain, and what they still have. */
export function endingOf(nodes) {
  return nodes
    .filter((node) => node.alive && node.draining)
    .map((node) => {
      const words = has(node);
      return `${node.node} is draining${words ? `: ${words} still there` : ""}.`;
    })
    .join(" ");
}

/** The viewers or cameras of a process, in words; empty if it has none. */
function has(node) {
  const left = [
    [node.viewers, "viewer"],
    [node.role === "ingest" ? node.cameras.length : 0, "camera"],
    [node.role === "transcode" ? node.cameras.length : 0, "conversion"],
  ].filter(([count]) => count);
  return left.map(([count, word]) => `${count} ${word}${count === 1 ? "" : "s"}`).join(", ");
}

function list(ul, nodes) {
  const items = new Map([...ul.children].map((item) => [item.dataset.node, item]));
  for (const node of nodes) {
    const item = items.get(node.node) ?? ul.appendChild(newItem(node));
    items.delete(node.node);
    const state = node.alive ? node.draining && "draining" : "does not answer";
    item.querySelector("span").textContent = [node.node, node.host, state, has(node)].filter(Boolean).join(", ");
    const button = item.querySelector("button");
    if (button) button.disabled = !node.alive || node.draining;
  }
  for (const item of items.values()) item.remove();
}

function newItem({ node, role }) {
  const item = document.createElement("li");
  item.dataset.node = node;
  item.appendChild(document.createElement("span"));
  if (role === "broker" || role === "relay") return item; // they end by SIGTERM alone: no other could take their part
  const button = item.appendChild(document.createElement("button"));
  button.type = "button";
  button.textContent = "Drain";
  button.setAttribute("aria-label", `Drain ${node}`);
  button.onclick = async () => {
    const question = `Drain ${node}? It hands over its work and ends. Whatever keeps it running starts it again.`;
    if (!(await isSure(question, "Drain"))) return;
    const refused = await call("POST", below(HOME, `api/nodes/${encodeURIComponent(node)}/drain`));
    if (refused) tell(refused);
    else button.disabled = true;
  };
  return item;
}
