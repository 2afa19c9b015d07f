// The list of cameras, live, and one of them playing.

import "./player.js";
import { SocketSignalling } from "./signalling.js";

const [player, list, connect, chosen, details] = ["player", "cameras", "connect", "chosen", "details"].map((id) =>
  document.getElementById(id),
);
const [empty, offline, alone, remove] = ["empty", "offline", "alone", "remove"].map((id) => document.getElementById(id));
const [dialog, form, problem] = ["dialog", "form", "problem"].map((id) => document.getElementById(id));

const OFFLINE_AFTER = 2000; // ms without the server; a restart is not worth a word
const UNKNOWN = { state: "unknown", sentence: "Not known while the server cannot be reached.", detail: "" };

const cameras = new Map(); // id to the last summary
let selected = null;
let known = true; // whether those summaries can be relied upon
let offlineTimer = 0;
let asked = 0; // how often details were asked for

// The list

const signalling = SocketSignalling.to(new URL("/", location.href));
signalling.addEventListener("cameras", ({ detail }) => {
  cameras.clear();
  for (const camera of detail.cameras) cameras.set(camera.camera, camera);
  const back = !known;
  known = true;
  showList();
  if (back) showDetails();
  if (selected === null && cameras.size) select(cameras.keys().next().value);
});
signalling.addEventListener("camera", ({ detail }) => {
  cameras.set(detail.camera, detail);
  showList();
  if (detail.camera === selected) showDetails();
});
signalling.addEventListener("removed", ({ detail }) => {
  cameras.delete(detail.camera);
  showList();
  if (detail.camera === selected) select(null);
});
signalling.addEventListener("online", () => {
  clearTimeout(offlineTimer);
  offlineTimer = 0;
  offline.hidden = true; // how the cameras are comes next
});
signalling.addEventListener("offline", () => {
  offlineTimer ||= setTimeout(showOffline, OFFLINE_AFTER); // it is said again at each attempt
});
signalling.subscribe();

function showOffline() {
  offline.hidden = false;
  known = false;
  showList();
  showDetails();
}

function showList() {
  empty.hidden = cameras.size > 0;
  const items = new Map([...list.children].map((item) => [item.dataset.camera, item]));
  for (const [id, item] of items) if (!cameras.has(id)) item.remove();
  for (const [id, summary] of cameras) {
    const camera = known ? summary : UNKNOWN;
    const item = items.get(id) ?? list.appendChild(newItem(id));
    item.dataset.state = camera.failed ? "failed" : camera.state;
    item.querySelector(".sentence").textContent = camera.sentence;
    item.firstChild.title = camera.detail;
    item.firstChild.setAttribute("aria-pressed", String(id === selected));
  }
}

function newItem(id) {
  const item = document.createElement("li");
  item.dataset.camera = id;
  const button = item.appendChild(document.createElement("button"));
  button.type = "button";
  button.append(element("span", "dot"), element("span", "name", id), element("span", "sentence"));
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
  chosen.textContent = id ?? "No camera chosen";
  connect.disabled = id === null;
  alone.hidden = id === null;
  alone.href = `/watch/${encodeURIComponent(id ?? "")}`;
  showList();
  showDetails();
}

connect.onclick = () => (player.state === "idle" ? player.connect() : player.disconnect());
player.addEventListener("statechange", () => {
  connect.textContent = player.state === "idle" ? "Connect" : "Disconnect";
});

async function showDetails() {
  const turn = ++asked;
  const camera = selected === null ? null : known ? await detailsOf(selected) : UNKNOWN;
  if (turn !== asked) return;
  remove.hidden = camera?.source !== "api";
  details.replaceChildren();
  for (const [name, text] of camera ? rowsOf(camera) : []) {
    if (text) details.append(element("dt", "", name), element("dd", "", text));
  }
}

/** What the API says of a camera; null if it says nothing. */
async function detailsOf(id) {
  try {
    const response = await fetch(`/api/cameras/${encodeURIComponent(id)}`);
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

function rowsOf(camera) {
  return [
    ["State", camera.sentence],
    ["Seen", camera.detail],
    ["Address", camera.url],
    ["Connected over", camera.connected_over?.toUpperCase()],
    ["Tracks", camera.tracks?.map(describe).join("; ")],
    ["Last error", camera.failed ? "" : camera.last_error],
    ["Changed in", camera.place],
  ];
}

function describe(track) {
  return track.playable ? `${track.kind} ${track.codec}` : `${track.kind} ${track.codec}: ${track.problem}`;
}

// Adding and removing

document.getElementById("add").onclick = () => {
  form.reset();
  problem.textContent = "";
  dialog.showModal();
};
document.getElementById("cancel").onclick = () => dialog.close();

form.onsubmit = async (event) => {
  event.preventDefault();
  const camera = Object.fromEntries(new FormData(form));
  camera.on_demand = form.elements.on_demand.checked;
  problem.textContent = await call("POST", "/api/cameras", camera);
  if (!problem.textContent) {
    dialog.close();
    select(camera.id);
  }
};

remove.onclick = async () => {
  if (confirm(`Remove ${selected}?`)) {
    const refused = await call("DELETE", `/api/cameras/${encodeURIComponent(selected)}`);
    if (refused) alert(refused);
  }
};

/** Ask the API for a change. Returns why it was refused, or empty text. */
async function call(method, path, body) {
  try {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(path, { method, headers, body: JSON.stringify(body) });
    return response.ok ? "" : (await response.json()).detail;
  } catch {
    return "The server cannot be reached.";
  }
}
