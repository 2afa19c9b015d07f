// The cameras and how they are, live: over the WebSocket, or by asking over and over where that does not get through.
// What is known is known only while the server answers.

import { below } from "./address.js";
import { fetchWithin } from "./browser.js";
import { SocketSignalling } from "./socket.js";
import { NOT_OURS, UNREACHABLE } from "./words.js";

const GONE_AFTER = 2500; // ms without a word from the server; a restart of it is not worth one of ours
const LOOK_INTERVAL = 250; // ms between looks whether it is gone
const ASLEEP_AFTER = 1000; // ms that a look is late: the page stood still or was hidden, not the server
const ASK_INTERVAL = 1000; // ms between questions without a WebSocket
const ASK_TIMEOUT = 2000; // ms

/** Dispatches `list` after any change, `camera` and `removed` with an id as `detail`, and `notice`. */
export class Cameras extends EventTarget {
  all = new Map(); // id to the last summary
  answered = false; // whether the server has ever said which there are
  known = true; // whether those summaries can be relied upon
  notice = ""; // what is wrong on the way to the server
  #base;
  #socket;
  #heardAt = performance.now();
  #lookedAt = performance.now();
  #asking = false;

  constructor(base) {
    super();
    this.#base = base;
    const socket = (this.#socket = SocketSignalling.to(base));
    socket.addEventListener("heard", () => this.#heard());
    socket.addEventListener("cameras", ({ detail }) => this.#replace(detail.cameras));
    socket.addEventListener("camera", ({ detail }) => this.#change(detail));
    socket.addEventListener("removed", ({ detail }) => this.#remove(detail.camera));
    socket.addEventListener("blocked", () => this.#ask());
    socket.subscribe();
    if (socket.blocked) this.#ask();
    setInterval(() => this.#look(), LOOK_INTERVAL);
  }

  /** Without a WebSocket: ask until there is one. */
  async #ask() {
    if (this.#asking) return;
    this.#asking = true;
    while (this.#socket.blocked) {
      try {
        const url = below(this.#base, "api/cameras");
        const response = await fetchWithin(ASK_TIMEOUT, url, { cache: "no-store" });
        const cameras = await response.json();
        if (this.#socket.blocked) {
          this.#heard();
          this.#replace(cameras.map(summaryOf));
        }
      } catch {
        // nothing was heard: #look() says so
      }
      await new Promise((resolve) => setTimeout(resolve, ASK_INTERVAL));
    }
    this.#asking = false;
    this.#notify();
  }

  #heard() {
    this.#heardAt = performance.now();
    if (!this.known && !this.#asking) this.#socket.subscribe(); // it stood still, and nothing was told again
    this.#notify();
  }

  #replace(summaries) {
    const before = this.all;
    this.#order(summaries);
    const back = !this.known;
    this.known = this.answered = true;
    this.#dispatch("list");
    for (const id of before.keys()) if (!this.all.has(id)) this.#dispatch("removed", id);
    for (const [id, summary] of this.all) {
      if (back || JSON.stringify(summary) !== JSON.stringify(before.get(id))) this.#dispatch("camera", id);
    }
  }

  #order(summaries) {
    this.all = new Map(summaries.sort(inOrder).map((summary) => [summary.camera, summary]));
  }

  #change(summary) {
    this.all.set(summary.camera, summary);
    this.#order([...this.all.values()]);
    this.#dispatch("list");
    this.#dispatch("camera", summary.camera);
  }

  #remove(id) {
    this.all.delete(id);
    this.#dispatch("list");
    this.#dispatch("removed", id);
  }

  #look() {
    const now = performance.now();
    const late = now - this.#lookedAt - LOOK_INTERVAL;
    this.#lookedAt = now;
    if (late > ASLEEP_AFTER) this.#heardAt = Math.min(this.#heardAt + late, now);
    this.#notify();
  }

  #notify() {
    const gone = performance.now() - this.#heardAt > GONE_AFTER;
    const { blocked } = this.#socket;
    const notice = gone && blocked !== NOT_OURS ? `${UNREACHABLE} Trying again.` : blocked;
    if (gone && this.known) {
      this.known = false;
      this.#dispatch("list");
      for (const id of this.all.keys()) this.#dispatch("camera", id);
    }
    if (notice !== this.notice) {
      this.notice = notice;
      this.#dispatch("notice");
    }
  }

  #dispatch(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** What the WebSocket would say of a camera, from what the API says. */
function summaryOf({ id, name, group, order, state, sentence, detail, failed, sound, for_all, tracks }) {
  const video = tracks.find(({ kind }) => kind === "video")?.codec ?? "";
  return { camera: id, name, group, order, state, sentence, detail, failed, sound, for_all, video };
}

/** The order in which people see cameras: by group, then by their place, then by name. */
function inOrder(a, b) {
  if (a.group !== b.group) return !a.group ? 1 : !b.group ? -1 : a.group.localeCompare(b.group);
  return a.order - b.order || a.name.localeCompare(b.name, undefined, { numeric: true });
}
