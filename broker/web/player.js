// <camshaft-player camera="front-door">: one camera, live.
//
// Attributes: camera; signalling ("ws", the default, or "whep"); server (address of another server than the one this
// script comes from; needs signalling="whep"); autoconnect.
// A click on it while it is idle connects.
// Methods: connect(), disconnect(), stats(). Events: playing, stalled, closed, error, statechange.
// For measuring: video, pc, session, state, timing (ms after connect(): offered, answered, connected, firstFrame).
//
// It keeps a picture up: whatever breaks, it finds out (the server says so, ICE fails, or frames stop while the server
// does not know the session any more) and makes a new session. While only the signalling is gone or only the camera is
// down it touches nothing, because media goes on, or will come back, in the session that it has.

import { SignallingError, SocketSignalling, WhepSignalling, iceServersOf, jittered } from "./signalling.js";

const HOME = new URL("..", import.meta.url);
iceServersOf(HOME); // so that the first click need not wait for them
const WATCH_INTERVAL = 500; // ms between looks at the statistics
const STALLED_AFTER = 1500; // ms without a frame
const CHECK_INTERVAL = 400; // ms between questions to the server while no frame comes
const GIVE_UP_AFTER = 8000; // ms without a frame although server and camera say that all is well
const RETRY_FIRST = 100; // ms
const RETRY_LONGEST = 4000; // ms
const RETRY_PERMANENT = 10000; // ms after an error that only somebody's action can mend
const STEADY_AFTER = 5000; // ms of playing after which the next failure is a new one
const ASLEEP_AFTER = 4000; // ms between two looks that must have been a frozen page, not a stalled stream

const STYLE = new CSSStyleSheet();
STYLE.replaceSync(`
  :host { display: block; position: relative; overflow: hidden; background: #000; color: #e8eaed;
          aspect-ratio: 16 / 9; font: 15px/1.4 system-ui, sans-serif; }
  :host([hidden]) { display: none; }
  video { width: 100%; height: 100%; object-fit: contain; display: block; }
  .message { position: absolute; inset: 0; display: flex; align-items: center; justify-content: center; padding: 1.5em;
             text-align: center; text-wrap: balance; background: rgb(0 0 0 / 55%); pointer-events: none; }
  .message:empty { display: none; }
  .controls { position: absolute; right: 0; bottom: 0; display: flex; gap: .25rem; padding: .5rem; opacity: 0;
              transition: opacity .15s; }
  :host(:hover) .controls, :host(:focus-within) .controls, .controls.on { opacity: 1; }
  button { all: unset; box-sizing: border-box; width: 2.5rem; height: 2.5rem; padding: .5rem; border-radius: .4rem;
           background: rgb(0 0 0 / 60%); cursor: pointer; }
  button:hover { background: rgb(60 64 67 / 90%); }
  button:focus-visible { outline: 2px solid #8ab4f8; outline-offset: 1px; }
  button[hidden] { display: none; }
  .start { position: absolute; inset: 0; width: auto; height: auto; border-radius: 0; background: none; }
  .start:hover { background: none; }
  .start:focus-visible { outline-offset: -3px; }
  .start::before, .start::after { content: ""; position: absolute; left: 50%; top: 50%; translate: -50% -50%; }
  .start::before { width: 4.5rem; height: 4.5rem; border-radius: 50%; background: rgb(60 64 67 / 60%); }
  .start:hover::before { background: rgb(60 64 67 / 90%); }
  .start::after { width: 1.5rem; height: 1.75rem; margin-left: .2rem; background: currentColor;
                  clip-path: polygon(0 0, 100% 50%, 0 100%); }
  svg { width: 100%; height: 100%; fill: currentColor; display: block; }
  @media (prefers-reduced-motion: reduce) { .controls { transition: none; } }
`);

const ICONS = {
  muted: "M4 9v6h4l5 5V4L8 9H4zm12.6 3 2.7-2.7-1.3-1.3-2.7 2.7-2.7-2.7v2.6l1.4 1.4-1.4 1.4v2.6l2.7-2.7 2.7 2.7 1.3-1.3z",
  sound: "M4 9v6h4l5 5V4L8 9H4zm11.5 3c0-1.8-1-3.3-2.5-4v8c1.5-.7 2.5-2.2 2.5-4zM13 4.2v2.1a6 6 0 0 1 0 11.4v2.1a8 8 0 0 0 0-15.6z",
  full: "M5 5h6v2H7v4H5V5zm8 0h6v6h-2V7h-4V5zM5 13h2v4h4v2H5v-6zm12 0h2v6h-6v-2h4v-4z",
  play: "M8 5v14l11-7z",
};

const TEMPLATE = document.createElement("template");
TEMPLATE.innerHTML = `
  <video part="video" playsinline muted></video>
  <div class="message" part="message" role="status" aria-live="polite"></div>
  <button type="button" class="start" part="start" aria-label="Play" hidden></button>
  <div class="controls" part="controls">
    <button type="button" class="play" aria-label="Play" hidden></button>
    <button type="button" class="mute"></button>
    <button type="button" class="full" aria-label="Full screen"></button>
  </div>`;

/** What one look at the statistics says, in numbers that only grow. */
function progress(report) {
  const sum = { frames: 0, bytes: 0, video: false };
  for (const entry of report.values()) {
    if (entry.type !== "inbound-rtp") continue;
    sum.bytes += entry.bytesReceived ?? 0;
    if (entry.kind === "video") {
      sum.video = true;
      sum.frames += entry.framesDecoded ?? 0;
    }
  }
  return sum;
}

/** One WebRTC session, from its offer to its end. It never tries again; its player does. */
class Session {
  id = null;
  stream = new MediaStream();
  summary = null; // how the camera is: what the server said last
  #signalling;
  #iceServers; // a promise
  #player;
  #found = []; // candidates, until the session has an id
  #over = false;

  /** `player` is told of marked(name), connected(state), media(), closed(reason) and cameraState(). */
  constructor(signalling, iceServers, camera, player) {
    this.#signalling = signalling;
    this.#iceServers = iceServers;
    this.camera = camera;
    this.#player = player;
    this.pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    for (const kind of ["video", "audio"]) {
      // No buffer beyond what the network makes necessary: this is live.
      this.pc.addTransceiver(kind, { direction: "recvonly" }).receiver.jitterBufferTarget = 0;
    }
    this.pc.ontrack = ({ track }) => {
      this.stream.addTrack(track);
      track.addEventListener("unmute", () => this.#over || player.media());
    };
    this.pc.onicecandidate = ({ candidate }) => this.#trickle(candidate);
    this.pc.onconnectionstatechange = () => this.#over || player.connected(this.pc.connectionState);
  }

  /** Offer and answer. Throws SignallingError. */
  async start() {
    const iceServers = await this.#iceServers;
    if (this.#over) return;
    if (iceServers.length) this.pc.setConfiguration({ bundlePolicy: "max-bundle", iceServers });
    await this.pc.setLocalDescription();
    this.#player.marked("offered");
    const { session, sdp } = await this.#signalling.open(this.camera, this.pc.localDescription.sdp, this);
    this.id = session;
    if (this.#over) {
      this.#signalling.close(session);
      return;
    }
    this.#player.marked("answered");
    await this.pc.setRemoteDescription({ type: "answer", sdp });
    this.#found.splice(0).forEach((candidate) => this.#trickle(candidate));
  }

  /** Whether the server still knows it; also has the camera's state told. `undefined`: it cannot be asked. */
  async check() {
    return this.id === null || this.#over ? undefined : this.#signalling.check(this.id);
  }

  /** End it, here and at the server. */
  close() {
    if (this.#over) return;
    this.#over = true;
    this.pc.close();
    if (this.id !== null) this.#signalling.close(this.id);
  }

  /** The server says that it is over. */
  closed(reason) {
    if (this.#over) return;
    this.#over = true;
    this.pc.close();
    this.#player.closed(reason);
  }

  /** The server says how the camera is. */
  cameraState(summary) {
    this.summary = summary;
    if (!this.#over) this.#player.cameraState();
  }

  #trickle(candidate) {
    if (this.id === null) this.#found.push(candidate);
    else if (!this.#over) this.#signalling.trickle(this.id, candidate);
  }
}

class CamshaftPlayer extends HTMLElement {
  static observedAttributes = ["camera", "signalling", "server"];

  state = "idle"; // idle, connecting, playing, stalled, waiting (for the camera), retrying, failed
  timing = {};
  #parts;
  #session = null;
  #wanted = false;
  #began = 0;
  #failures = 0; // in a row
  #reason = ""; // of the last failure, for the message
  #retryTimer = 0;
  #watchTimer = 0;
  #looked = 0; // when the statistics were last looked at
  #seen = { frames: 0, bytes: 0 };
  #movedAt = 0; // when they last showed progress
  #steadySince = 0;
  #checkedAt = 0;
  #confirmed = false; // the server knew the session and its camera played, both since the picture stopped

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [STYLE];
    root.append(TEMPLATE.content.cloneNode(true));
    const [video, message, start, play, mute, full] = ["video", ".message", ".start", ".play", ".mute", ".full"].map(
      (selector) => root.querySelector(selector),
    );
    this.#parts = { video, message, start, play, mute };
    video.muted = true; // or browsers would not let it play by itself
    play.innerHTML = icon(ICONS.play);
    full.innerHTML = icon(ICONS.full);
    start.onclick = () => this.connect();
    play.onclick = () => this.#play();
    mute.onclick = () => (video.muted = !video.muted);
    full.onclick = () => (document.fullscreenElement ? document.exitFullscreen() : this.requestFullscreen());
    video.onvolumechange = () => this.#showMuted();
    this.#showMuted();
  }

  get video() {
    return this.#parts.video;
  }

  get pc() {
    return this.#session?.pc ?? null;
  }

  /** The session's id, or with WHEP its address; null while there is none. */
  get session() {
    return this.#session?.id ?? null;
  }

  connectedCallback() {
    addEventListener("pagehide", this.#onPageHide);
    addEventListener("pageshow", this.#onPageShow);
    if (this.hasAttribute("autoconnect")) this.connect();
  }

  disconnectedCallback() {
    removeEventListener("pagehide", this.#onPageHide);
    removeEventListener("pageshow", this.#onPageShow);
    this.disconnect();
  }

  attributeChangedCallback(name, before, after) {
    if (this.#wanted && before !== after) {
      this.disconnect();
      this.connect();
    }
    this.#showStart();
  }

  /** Show the camera, and keep showing it until disconnect(). */
  connect() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#failures = 0;
    this.#began = performance.now();
    this.timing = {};
    this.#watchTimer = setInterval(() => this.#watch(), WATCH_INTERVAL);
    this.#start();
  }

  /** Stop showing it. */
  disconnect() {
    if (!this.#wanted) return;
    this.#wanted = false;
    clearInterval(this.#watchTimer);
    clearTimeout(this.#retryTimer);
    this.#drop();
    this.video.srcObject = null;
    this.#enter("idle");
    this.#dispatch("closed", { reason: "disconnected" });
  }

  /** A promise of numbers about the picture, with the names of getStats(). */
  async stats() {
    const found = { state: this.state, camera: this.getAttribute("camera"), session: this.session };
    const report = (await this.pc?.getStats()) ?? new Map();
    for (const entry of report.values()) {
      if (entry.type === "inbound-rtp") {
        const codec = report.get(entry.codecId)?.mimeType;
        found[entry.kind] = { ...entry, codec };
      } else if (entry.type === "transport") {
        found.transport = { ...entry };
      } else if (entry.type === "candidate-pair" && entry.nominated) {
        found.roundTripTime = entry.currentRoundTripTime;
      }
    }
    return found;
  }

  #start() {
    clearTimeout(this.#retryTimer);
    this.#drop();
    const mine = (act) => (detail) => this.#session === session && act(detail);
    const session = new Session(this.#signalling(), iceServersOf(this.#base()), this.getAttribute("camera") ?? "", {
      marked: mine((name) => this.#mark(name)),
      connected: mine((state) => this.#connectionChanged(state)),
      media: mine(() => this.#showStream()),
      closed: mine((reason) => this.#ended(reason)),
      cameraState: mine(() => this.#cameraChanged()),
    });
    this.#session = session;
    this.#seen = { frames: 0, bytes: 0 };
    this.#movedAt = this.#looked = performance.now();
    this.#confirmed = false;
    // Early, so that the video element is ready when the first frame is. But never after a failure, so that the last
    // picture stays until the next one is there, and not while the page loads: it would seem to load until that frame.
    if (this.state === "idle" && document.readyState === "complete") this.#showStream();
    if (this.state !== "stalled") this.#enter("connecting");
    session.start().catch(mine((error) => this.#failed(error)));
  }

  #drop() {
    this.#session?.close();
    this.#session = null;
  }

  /** Try again: at once if all was well so far, then ever more slowly. */
  #retry({ slowly = false } = {}) {
    this.#drop();
    const backOff = Math.min(RETRY_FIRST * 2 ** this.#failures, RETRY_LONGEST);
    this.#failures += 1;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#start(), jittered(slowly ? RETRY_PERMANENT : backOff));
  }

  #failed(error) {
    this.#reason = error.message;
    this.#retry({ slowly: error.permanent });
    this.#enter(error.permanent ? "failed" : "retrying");
    this.#dispatch("error", { code: error.code ?? error.name, message: error.message });
  }

  #ended(reason) {
    this.#reason = "";
    this.#retry();
    this.#enter("retrying");
    this.#dispatch("closed", { reason });
  }

  #connectionChanged(state) {
    if (state === "connected") this.#mark("connected");
    else if (state === "disconnected") this.#check();
    else if (state === "failed" || state === "closed") this.#ended(`connection_${state}`);
  }

  #cameraChanged() {
    if (this.#session.summary.state !== "playing") this.#confirmed = false;
    if (this.state === "stalled" || this.state === "waiting") this.#stalled();
    else this.#showMessage();
  }

  #showStream() {
    if (this.video.srcObject !== this.#session.stream) {
      this.video.srcObject = this.#session.stream;
      this.#play();
    }
    this.#awaitFrame();
  }

  #play() {
    this.video.play().then(
      () => (this.#parts.play.hidden = true),
      (error) => (this.#parts.play.hidden = error.name !== "NotAllowedError"),
    );
  }

  /** Be told of the next frame at once, not at the next look at the statistics. */
  #awaitFrame() {
    const session = this.#session;
    this.video.requestVideoFrameCallback?.(() => {
      if (this.#session === session && this.video.srcObject === session.stream) this.#moved();
    });
  }

  async #watch() {
    const now = performance.now();
    const asleep = now - this.#looked > ASLEEP_AFTER;
    this.#looked = now;
    const session = this.#session;
    if (session === null) return;
    if (asleep) {
      this.#movedAt = now; // nothing was looked at, so nothing is known to have stalled
      this.#check();
    }
    const sum = progress(await session.pc.getStats());
    if (session !== this.#session) return;
    // A hidden page need not decode, and a camera need not have video.
    const frames = sum.video && !document.hidden;
    const moved = frames ? sum.frames > this.#seen.frames : sum.bytes > this.#seen.bytes;
    this.#seen = sum;
    if (moved) this.#moved();
    else if (performance.now() - this.#movedAt > STALLED_AFTER) this.#stalled();
  }

  #moved() {
    const now = (this.#movedAt = performance.now());
    this.#confirmed = false;
    if (this.state !== "playing") {
      this.#steadySince = now;
      this.#mark("firstFrame");
      this.#enter("playing");
      this.#dispatch("playing");
    } else if (now - this.#steadySince > STEADY_AFTER) {
      this.#failures = 0;
    }
  }

  /** No frame for a while: find out whose fault it is. */
  #stalled() {
    const { summary } = this.#session;
    const down = summary !== null && summary.state !== "playing";
    if (this.state === "playing") {
      this.#dispatch("stalled");
      this.#awaitFrame();
    }
    this.#enter(down ? "waiting" : this.state === "connecting" ? "connecting" : "stalled");
    const now = performance.now();
    if (!down && this.#confirmed && now - this.#movedAt > GIVE_UP_AFTER) {
      const reached = this.pc.connectionState === "connected";
      this.#failed(
        reached
          ? new SignallingError("media_stopped", "The picture stopped.")
          : new SignallingError("media_blocked", "No media arrives; the network may block UDP."),
      );
    } else if (now - this.#checkedAt > CHECK_INTERVAL) {
      this.#check();
    }
  }

  async #check() {
    const session = this.#session;
    this.#checkedAt = performance.now();
    const known = await session.check();
    if (session === this.#session && known && session.summary?.state === "playing") this.#confirmed = true;
  }

  #base() {
    return this.hasAttribute("server") ? new URL(this.getAttribute("server"), document.baseURI) : HOME;
  }

  #signalling() {
    const base = this.#base();
    return this.getAttribute("signalling") === "whep" ? new WhepSignalling(base) : SocketSignalling.to(base);
  }

  #mark(name) {
    this.timing[name] ??= performance.now() - this.#began;
  }

  #enter(state) {
    const changed = this.state !== state;
    this.state = state;
    this.#showStart();
    this.#showMessage();
    if (changed) this.#dispatch("statechange", { state });
  }

  #showStart() {
    this.#parts.start.hidden = this.state !== "idle" || !this.getAttribute("camera");
  }

  #showMessage() {
    const { message } = this.#parts;
    const text = this.#message();
    if (message.textContent !== text) message.textContent = text;
  }

  #message() {
    const summary = this.#session?.summary;
    switch (this.state) {
      case "idle":
      case "playing":
        return "";
      case "failed":
        return this.#reason;
      case "retrying":
        return this.#reason ? `${this.#reason} Trying again.` : "Connecting again.";
      case "waiting":
        return summary.sentence;
      case "stalled":
        return "The picture has stopped; looking for the reason.";
      default:
        return summary && summary.state !== "playing" ? summary.sentence : "Connecting.";
    }
  }

  #showMuted() {
    const { muted } = this.video;
    this.#parts.mute.innerHTML = icon(muted ? ICONS.muted : ICONS.sound);
    this.#parts.mute.setAttribute("aria-label", muted ? "Turn sound on" : "Turn sound off");
    this.#parts.mute.setAttribute("aria-pressed", String(!muted));
  }

  #dispatch(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #onPageHide = () => this.#drop();

  #onPageShow = ({ persisted }) => {
    if (persisted && this.#wanted) this.#start(); // back from the browser's cache of pages
  };
}

function icon(path) {
  return `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${path}"/></svg>`;
}

customElements.define("camshaft-player", CamshaftPlayer);
