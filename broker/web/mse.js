// One session by Media Source Extensions: a WebSocket of the page's own port that carries fragmented MP4, for networks in
// which no media gets through by WebRTC. To the player it is as a Session is.

import { below } from "./address.js";
import { fetchWithin } from "./browser.js";
import { Live, takenCodecs } from "./live.js";
import { ServedSession } from "./served.js";
import { REQUEST_TIMEOUT, SignallingError, refusal } from "./signalling.js";
import { NO_WAY, UNREACHABLE } from "./words.js";

const HELLO_TIMEOUT = 6000; // ms; the server gives an egress 5 s to answer
const RESTART_INTERVAL = 1500; // ms; the server begins anew three times at once, and then every five seconds
const SILENT_AFTER = 6000; // ms without a message of a camera that plays: the connection is dead, or next to it
const DOUBTFUL_AFTER = 700; // ms without one, for a page that is on another network now
const SOUND_IS_BACK = 100; // segments of sound, that are more than those of the picture since: some seconds
const KINDS = ["video", "audio"]; // as the first byte of a message with a segment numbers them
const UPGRADE_REQUIRED = "upgrade_required"; // the refusal of a request that would have been let in

/** Whether this browser can be sent anything so. */
export const canUseMse = () => typeof WebSocket === "function" && takenCodecs().some((codec) => /^H26/.test(codec));

export class MseSession extends ServedSession {
  pc = null;
  way = "websocket";
  takesH264 = true;
  source = null; // for the video element
  #base;
  #video;
  #socket = null;
  #live = null;
  #pending = null; // the kind and codec whose initialization segment comes next
  #bytes = 0;
  #arrivedAt = 0; // when the last message did
  #segments = 0; // of pictures
  #mayRestartAt = 0;
  #unwanted = 0; // segments of sound that nobody waits for any more
  #wanted = KINDS; // what is taken of what comes
  #counted = 0; // frames of the video before this session's

  /** For the arguments see ServedSession; `video` is the element that will show it. */
  constructor(base, signalling, camera, wish, player, video) {
    super(signalling, camera, wish, player);
    this.#base = base;
    this.#video = video;
  }

  /** Connect. Throws SignallingError. */
  async start() {
    const url = below(this.#base, `mse/${encodeURIComponent(this.camera)}`);
    url.searchParams.set("codecs", takenCodecs().join());
    for (const [name, value] of Object.entries(this.wished())) url.searchParams.set(name, value);
    this.player.marked("offered");
    await this.#connect(url);
    if (this.over) return;
    this.player.marked("answered");
    this.check();
  }

  /** See Session. */
  renew() {
    if (!this.over) this.player.renew();
  }

  /** See ServedSession. A new one is made beside this one: the network may be another. */
  suspect() {
    if (!this.over && this.#live !== null) this.player.renew();
  }

  /** Whether what it is to show has begun to come. */
  get comes() {
    return this.#live !== null && (this.picture ? this.#segments > 0 : this.#bytes > 0);
  }

  /** Go on where `before` stands, in its very picture. Returns whether that can be. */
  into(before) {
    if (this.#live === null || !before.#live?.absorb(this.#live)) return false;
    this.#live = before.#live;
    before.#live = null;
    this.source = before.source;
    this.#counted = this.#frames;
    return true;
  }

  /** There is no ICE, but another network: a connection that is silent is given up, and the player makes a new one. */
  async restart() {
    if (this.#arrivedAt === 0 || this.over) return false;
    const last = this.#arrivedAt;
    const left = last + DOUBTFUL_AFTER - performance.now(); // one that broke just now is not silent yet
    if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
    const silent = this.#arrivedAt === last;
    if (silent) this.closed("network_changed");
    return silent;
  }

  /** See `progressOf`; null before anything can have come. */
  async progress() {
    if (this.#live === null) return null;
    const silent = performance.now() - this.#arrivedAt > SILENT_AFTER;
    if (silent && this.summary?.state === "playing" && this.picture) this.closed("silent");
    const sum = { frames: this.#frames - this.#counted, bytes: this.#bytes, received: this.#segments, video: this.picture };
    return { ...sum, arrived: this.#bytes, arrivedAt: this.#arrivedAt, beats: false };
  }

  get #frames() {
    return this.#video.getVideoPlaybackQuality?.().totalVideoFrames ?? Math.round(this.#video.currentTime * 1000);
  }

  /** End it, here and at the server. */
  close() {
    if (this.over) return;
    this.end();
    if (this.id !== null) this.signalling.close(this.id);
  }

  end() {
    super.end();
    this.#live?.close();
    this.#socket?.close();
  }

  /** Resolves when the server has said hello. */
  #connect(url) {
    return /** @type {Promise<void>} */ (
      new Promise((resolve, reject) => {
      const address = new URL(url);
      address.protocol = address.protocol.replace("http", "ws");
      const fail = async () => {
        clearTimeout(timer);
        this.#socket.onclose = null;
        this.#socket.close();
        if (this.id === null) reject(await refusalOf(url));
      };
      const timer = setTimeout(fail, HELLO_TIMEOUT);
      this.#socket = new WebSocket(address);
      this.#socket.binaryType = "arraybuffer";
      this.#socket.onmessage = ({ data }) => {
        if (this.over) return;
        this.#arrivedAt = performance.now();
        if (typeof data !== "string") {
          this.#receive(new Uint8Array(data));
          return;
        }
        const message = JSON.parse(data);
        if (message.type === "track") {
          this.#pending = message;
        } else if (message.type === "hello") {
          clearTimeout(timer);
          this.#begin(message);
          resolve();
        } else if (message.type === "error" && this.id === null) {
          clearTimeout(timer);
          this.#socket.onclose = null;
          reject(refusal(message.code, message.message));
        }
      };
      this.#socket.onclose = ({ reason }) => (this.id === null ? fail() : this.closed(reason || "connection_closed"));
    })
    );
  }

  /** A new beginning: all segments come from a keyframe on. */
  #begin({ session, kinds, origin }) {
    this.id ??= this.signalling.adopt(session, this);
    this.picture = kinds.includes("video");
    this.#live?.close();
    this.#pending = null;
    const taken = kinds.filter((kind) => this.#wanted.includes(kind));
    this.#live = new Live(this.#video, taken, origin, {
      restart: (wanted) => this.#restart(wanted),
      failed: () => this.closed("media_source_failed"),
    });
    this.source = this.#live.source;
    this.player.media();
  }

  #restart(wanted) {
    const now = performance.now();
    if (this.over || now < this.#mayRestartAt) return;
    this.#mayRestartAt = now + RESTART_INTERVAL;
    this.#wanted = wanted;
    this.#socket.send("restart");
  }

  #receive(message) {
    const kind = KINDS[message[0]];
    const segment = message.subarray(1);
    this.#bytes += segment.length;
    if (this.#pending?.kind === kind) {
      const { codec } = this.#pending;
      this.#pending = null;
      if (this.#wanted.includes(kind)) this.#live.begin(kind, codec, segment);
      return;
    }
    if (kind === "video") {
      this.#segments += 1;
      this.#unwanted = Math.max(0, this.#unwanted - 1);
    } else if (!this.#wanted.includes(kind) && ++this.#unwanted > SOUND_IS_BACK) {
      this.#unwanted = 0;
      this.#restart(KINDS);
    }
    this.#live.append(kind, segment);
  }
}

/** Why the WebSocket did not open, and said nothing: what an ordinary request is told, or that a proxy is in the way. */
async function refusalOf(url) {
  try {
    const response = await fetchWithin(REQUEST_TIMEOUT, url, { cache: "no-store" });
    const problem = await response.json();
    if (problem.code && problem.code !== UPGRADE_REQUIRED) return refusal(problem.code, problem.detail);
  } catch (error) {
    if (!(error instanceof SyntaxError)) return new SignallingError("unreachable", UNREACHABLE); // else it is none of ours
  }
  return new SignallingError("no_way", NO_WAY);
}
