// The list of cameras, live, and one of them playing.

import { HOME, below } from "./address.js";
import { showMissing } from "./arrival.js";
import { isSure, tell } from "./asking.js";
import { closeDialog, fetchWithin, openDialog } from "./browser.js";
import { call } from "./call.js";
import { Cameras } from "./cameras.js";
import { inWordsOf, named } from "./forms.js";
import "./player.js";
import { REQUEST_TIMEOUT } from "./signalling.js";
import { whoAmI } from "./me.js";
import { showProcesses } from "./processes.js";
import { untakable } from "./words.js";

const player = /** @type {import("./player.js").CamshaftPlayer} */ (document.getElementById("player"));
const list = document.getElementById("cameras");
const [chosen, details, empty, offline] = ["chosen", "details", "empty", "offline"].map((id) =>
  document.getElementById(id),
);
const connect = /** @type {HTMLButtonElement} */ (document.getElementById("connect"));
const remove = document.getElementById("remove");
const alone = /** @type {HTMLAnchorElement} */ (document.getElementById("alone"));
const [dialog, problem] = ["dialog", "problem"].map((id) => document.getElementById(id));
const form = /** @type {HTMLFormElement} */ (document.getElementById("form"));

const UNKNOWN = { state: "unknown", sentence: "Unknown while the server cannot be reached.", detail: "" };

const processes = /** @type {HTMLDetailsElement} */ (document.getElementById("processes"));

const NONE_FOR_YOU = "You have no right to watch any camera. An admin can give you that right.";

const cameras = new Cameras(HOME);
let mayChange = null; // until the server has said so
let selected = null;
let asked = 0; // how often details were asked for

// The list

cameras.addEventListener("list", () => {
  showList();
  if (selected === null && cameras.all.size) select(cameras.all.keys().next().value);
});
cameras.addEventListener("camera", (event) => {
  if (idOf(event) === selected) {
    chosen.textContent = nameOf(selected);
    showStill();
    showDetails();
  }
});
cameras.addEventListener("removed", (event) => {
  if (idOf(event) === selected) select(null);
});
cameras.addEventListener("notice", () => {
  offline.textContent = cameras.notice;
  offline.hidden = cameras.notice === "";
});

const nameOf = (id) => cameras.all.get(id)?.name ?? id;
const idOf = (event) => /** @type {CustomEvent<string>} */ (event).detail;

function showList() {
  empty.hidden = mayChange === null || !cameras.answered || !cameras.known || cameras.all.size > 0;
  const shown = /** @type {HTMLElement[]} */ ([...list.children]);
  const items = new Map(shown.map((item) => [item.dataset.camera, item]));
  for (const [id, item] of items) if (!cameras.all.has(id)) item.remove();
  let [place, last] = [0, ""];
  for (const [id, summary] of cameras.all) {
    const camera = cameras.known ? summary : UNKNOWN;
    const item = items.get(id) ?? newItem(id);
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null); // moving takes the focus
    place += 1;
    item.dataset.group = summary.group !== last ? summary.group || "Others" : "";
    last = summary.group;
    item.querySelector(".name").textContent = summary.name;
    const without = untakable(camera);
    item.dataset.state = camera.failed || without ? "failed" : camera.state;
    item.querySelector(".sentence").textContent = without || camera.sentence;
    const button = item.querySelector("button");
    button.title = camera.detail;
    button.setAttribute("aria-pressed", String(id === selected));
  }
}

function newItem(id) {
  const item = document.createElement("li");
  item.dataset.camera = id;
  const button = item.appendChild(document.createElement("button"));
  button.type = "button";
  button.append(element("span", "dot"), element("span", "name"), element("span", "sentence"));
  button.onclick = () => select(id);
  button.ondblclick = () => player.connect();
  return item;
}

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

// The camera that is chosen

function select(id) {
  selected = id;
  player.disconnect();
  player.setAttribute("camera", id ?? "");
  player.poster = null;
  chosen.textContent = id === null ? "No camera chosen" : nameOf(id);
  connect.disabled = id === null || player.unable !== "";
  alone.hidden = id === null;
  alone.href = below(HOME, `watch/${encodeURIComponent(id ?? "")}`).href;
  showList();
  showStill();
  showDetails();
}

/** What the camera shows, until it plays here: of one that is pulled anyway, so that nothing is pulled for this. */
function showStill() {
  const { state, video } = cameras.all.get(selected) ?? {};
  if (state !== "playing" || !video) player.poster = null;
  else if (player.state === "idle") player.poster ??= `${addressOf(selected)}/snapshot.jpg?stream=main&height=720`;
}

connect.onclick = () => (player.state === "idle" ? player.connect() : player.disconnect());
player.addEventListener("statechange", () => {
  connect.textContent = player.state === "idle" ? "Connect" : "Disconnect";
  if (player.state === "playing") player.poster = null; // the next one is of another moment
  showStill();
});

async function showDetails() {
  const turn = ++asked;
  const camera = selected === null ? null : cameras.known ? await detailsOf(selected) : UNKNOWN;
  if (turn !== asked) return;
  remove.hidden = !mayChange || camera?.source !== "api";
  details.textContent = "";
  for (const [name, text] of camera ? rowsOf(camera) : []) {
    if (text) details.append(element("dt", "", name), element("dd", "", text));
  }
}

/** What the API says of a camera; null if it says nothing. */
async function detailsOf(id) {
  try {
    const response = await fetchWithin(REQUEST_TIMEOUT, addressOf(id));
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

function rowsOf(camera) {
  return [
    ["State", camera.sentence],
    ["Seen", camera.sentence.includes(camera.detail) ? "" : camera.detail],
    ["Address", camera.url],
    ["Sub-stream", camera.streams?.sub && `${camera.streams.sub.url}: ${camera.streams.sub.sentence}`],
    ["Connected over", camera.connected_over?.toUpperCase()],
    ["Tracks", camera.tracks?.map(describe).join("; ")],
    ["Sound", camera.sound],
    ["Last error", camera.failed ? "" : camera.last_error],
    ["Changed in", camera.place],
  ];
}

function describe(track) {
  const converted = track.convert && `${track.convert}; it is converted while somebody watches`;
  const trouble = track.problem || track.warning || converted;
  return `${track.kind} ${track.name}${trouble ? `: ${trouble}` : ""}`;
}

// Who looks at this

whoAmI().then((me) => {
  const account = document.getElementById("account");
  mayChange = me === null || me.role === "admin";
  document.getElementById("add").hidden = !mayChange;
  if (!mayChange) empty.textContent = NONE_FOR_YOU;
  if (mayChange) showMissing(document.getElementById("missing"));
  if (mayChange) showProcesses(document.getElementById("ending"), processes);
  account.hidden = !me?.name;
  account.textContent = me?.name ?? "";
  showList();
  showDetails();
});

// Adding and removing

document.getElementById("add").onclick = () => {
  form.reset();
  problem.textContent = "";
  openDialog(dialog);
};
document.getElementById("cancel").onclick = () => closeDialog(dialog);

form.onsubmit = async (event) => {
  event.preventDefault();
  const { sub, ...given } = Object.fromEntries(new FormData(form));
  const camera = named(given);
  const { checked } = /** @type {HTMLInputElement} */ (form.querySelector("[name=on_demand]"));
  const streams = sub ? { sub: { url: sub } } : {};
  const refused = await call("POST", below(HOME, "api/cameras"), { ...camera, streams, on_demand: checked });
  problem.textContent = inWordsOf(form, refused);
  if (!problem.textContent) {
    closeDialog(dialog);
    select(camera.id);
  }
};

remove.onclick = async () => {
  const camera = selected; // another may be chosen before the answer
  if (await isSure(`Remove ${nameOf(camera)}?`, "Remove")) {
    const refused = await call("DELETE", addressOf(camera));
    if (refused) tell(refused);
  }
};

function addressOf(id) {
  return below(HOME, `api/cameras/${encodeURIComponent(id)}`);
}

if (player.connect) document.getElementById("broken").remove(); // the page has started
