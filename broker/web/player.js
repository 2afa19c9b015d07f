// <camshaft-player camera="front-door">: one camera, live.
//
// Attributes, and properties of the same names: camera; stream ("main", "sub", or "auto", the default: what suits the size
// of the picture); server (address of another server than the one this script comes from); token (shown to the server);
// signalling ("ws", which goes over to WHEP where WebSockets do not get through, or "whep"; by default the first on pages of
// the server, and the second on those of others, whose WebSockets it refuses); autoconnect; poster (address of a picture
// that stands there before the camera's first one, as of <video>).
// A click on it while it is idle connects, and one while the picture is paused goes on.
// Methods: connect(), disconnect(), stats(). Events: playing, stalled, renewed, closed, error, statechange.
// Where no media gets through by WebRTC it comes through the page's own port (mse.js), until WebRTC works (detour.js).
// For measuring: video, pc, session, state, timing (ms after connect(): offered, answered, connected, firstFrame).
//
// It keeps a picture up: whatever breaks, it finds out (the server says so, ICE fails, or frames stop while the server
// does not know the session any more) and makes a new session; where the server says in time that a session will end, it
// does so before that (renewal.js). While only the signalling is gone or only the camera is down it touches nothing,
// because media goes on, or will come back, in the session that it has. It is "playing" while pictures move on the screen,
// and never else.

import { SERVED } from "./address.js";
import { WithAttributes } from "./attributes.js";
import { fullScreenOf } from "./browser.js";
import { followHeight } from "./height.js";
import { furnish, operate } from "./look.js";
import { canUseMse } from "./mse.js";
import { numbersOf } from "./numbers.js";
import { Pictures } from "./pictures.js";
import { Playback } from "./playback.js";
import { Retrying } from "./retrying.js";
import { Roaming } from "./roaming.js";
import { Sessions } from "./sessions.js";
import { SignallingError } from "./signalling.js";
import { CLOSED, NO_SERVER, hindrance, message, noPicture, unable } from "./words.js";

const WATCH_INTERVAL = 500; // ms between looks at the statistics

export class CamshaftPlayer extends WithAttributes {
  // idle, connecting, playing, soundonly, paused (by browser or phone), stalled, waiting (for the camera), retrying, failed
  state = "idle";
  timing = {};
  #parts;
  #playback;
  #retrying = new Retrying(() => this.#start());
  #pictures = new Pictures();
  #sessions = new Sessions(this, {
    begun: () => this.#sessionBegun(),
    showSource: () => this.#showSource(),
    goOver: (before, next) => this.#goOver(before, next),
    renewed: () => this.#dispatch("renewed"),
    playing: () => this.state === "playing" || this.state === "soundonly",
    failed: (error) => this.#failed(error),
    cancelRetry: () => this.#retrying.cancel(),
    marked: (name) => this.#mark(name),
    connectionChanged: (state) => this.#connectionChanged(state),
    ended: (reason) => this.#ended(reason),
    cameraChanged: (before) => this.#cameraChanged(before),
  });
  #roaming = new Roaming({
    restart: () => this.#sessions.next?.way === "websocket" || (this.#session?.restart() ?? false),
    doubt: () => this.#session?.doubt() ?? false,
    look: () => this.#watch(),
  });
  #wanted = false;
  #began = 0;
  #reason = ""; // of the last failure, for the message
  #watchTimer = 0;

  constructor() {
    super();
    const parts = (this.#parts = furnish(this.attachShadow({ mode: "open" })));
    const { video, start } = parts;
    video.muted = true; // or browsers would not let it play by itself
    this.#playback = new Playback(video, {
      paused: () => this.#session !== null && this.#enter("paused"),
      muted: () => parts.controls.classList.add("on"), // sound needs a click: show where
    });
    start.onclick = () => (this.state === "idle" ? this.connect() : this.#goOn());
    operate(parts, fullScreenOf(this, video));
    followHeight(video, () => this.#session?.resized());
  }

  get video() {
    return this.#parts.video;
  }

  get #session() {
    return this.#sessions.now;
  }

  get pc() {
    return this.#session?.pc ?? null;
  }

  /** The session's id, or with WHEP its address; null while there is none. */
  get session() {
    return this.#session?.id ?? null;
  }

  /** Why this browser can show no camera at all; empty if it can. */
  get unable() {
    return canUseMse() ? "" : unable();
  }

  connectedCallback() {
    super.connectedCallback();
    addEventListener("pagehide", this.#onPageHide);
    addEventListener("pageshow", this.#onPageShow);
    this.#roaming.start();
    this.#showMessage();
    this.#connectByItself();
  }

  disconnectedCallback() {
    removeEventListener("pagehide", this.#onPageHide);
    removeEventListener("pageshow", this.#onPageShow);
    this.#roaming.stop();
    Promise.resolve().then(() => this.isConnected || this.disconnect()); // else it was only moved within the page
  }

  attributeChangedCallback(name, before, after) {
    if (name === "poster") {
      this.video.poster = after ?? "";
      return;
    }
    // A session goes on with the token that it began with; the next one shows the new one.
    const kept = name === "autoconnect" || (name === "token" && this.state !== "failed");
    if (this.#wanted && before !== after && !kept) {
      this.disconnect();
      this.connect();
    } else if (before === null || before === "") {
      this.#connectByItself(); // if it only waited for this
    }
    this.#showStart();
  }

  /** Show the camera, and keep showing it until disconnect(). */
  connect() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#sessions.prepare();
    this.#pictures.forget();
    this.#retrying.reset();
    this.#reason = "";
    this.#began = performance.now();
    this.timing = {};
    if (this.unable) {
      this.#refused(new SignallingError("unable", this.unable, true)); // nothing will change while the page is there
      return;
    }
    if (!SERVED && !this.server) {
      this.#refused(new SignallingError("no_server", NO_SERVER, true));
      return;
    }
    this.#watchTimer = setInterval(() => this.#watch(), WATCH_INTERVAL);
    this.#start();
  }

  /** Stop showing it. */
  disconnect() {
    if (!this.#wanted) return;
    this.#wanted = false;
    clearInterval(this.#watchTimer);
    this.#retrying.cancel();
    this.#sessions.drop();
    this.#sessions.detour.end();
    this.#playback.show(null);
    this.#enter("idle");
    this.#dispatch("closed", { reason: "disconnected" });
  }

  /** A promise of numbers about the picture, with the names of getStats(). */
  async stats() {
    const found = { state: this.state, camera: this.getAttribute("camera"), session: this.session };
    return { ...found, way: this.#session?.way ?? "", ...(await numbersOf(this.pc)) };
  }

  /** Once all attributes are there: Angular sets those that are bound after the element has been put into the page. */
  #connectByItself() {
    Promise.resolve().then(() => this.isConnected && this.autoconnect && this.camera && this.connect());
  }

  #start() {
    this.#retrying.cancel();
    const session = this.#sessions.open();
    // Early, so that the video element is ready when the first frame is. But never after a failure, so that the last
    // picture stays until the next one is there, and not while the page loads: it would seem to load until that frame.
    if (this.state === "idle" && document.readyState === "complete" && session.source) this.#showSource();
    if (this.state !== "stalled") this.#enter("connecting");
    this.#sessions.begin(session);
  }

  /** Another session is ours. */
  #sessionBegun() {
    this.#roaming.begin();
    this.#pictures.begin(performance.now());
  }

  /** The picture goes over, within the stream that the video element shows where that can be. */
  #goOver(before, next) {
    if (this.#playback.shows(before.source) && before.way === next.way && next.into(before)) this.#awaitFrame();
    else if (next.source) this.#showSource();
  }

  #failed(error) {
    if (this.#sessions.failed(error)) {
      this.#start();
      return;
    }
    this.#retrying.later({ slowly: error.permanent });
    this.#refused(error);
  }

  #refused(error) {
    this.#reason = error.message;
    this.#enter(error.permanent ? "failed" : "retrying");
    this.#dispatch("error", { code: error.code ?? error.name, message: error.message });
  }

  #ended(reason) {
    if (reason === "closed_by_operator") {
      this.#failed(new SignallingError(reason, CLOSED, true));
      return;
    }
    if (reason === "media_source_failed") this.#sessions.detour.failed();
    if (this.#sessions.finish()) return;
    this.#reason = "";
    this.#sessions.drop();
    this.#retrying.later();
    this.#enter("retrying");
    this.#dispatch("closed", { reason });
  }

  #connectionChanged(state) {
    if (state === "connected") {
      this.#mark("connected");
      this.#pictures.connected(performance.now());
      this.#sessions.detour.connected();
    } else if (state === "disconnected") {
      this.#roaming.restart();
      this.#check();
    } else if (state === "failed") {
      if (this.timing.connected === undefined && this.#sessions.detour.failsOver) this.#sessions.fallBack();
      else this.#restartOrEnd();
    } else if (state === "closed") {
      this.#ended("connection_closed");
    }
  }

  async #restartOrEnd() {
    const session = this.#session;
    const restarted = await this.#roaming.restart();
    if (!restarted && session === this.#session) this.#ended("connection_failed");
  }

  /** The server says how the camera is; `before` is what it said last. */
  #cameraChanged(before) {
    const { summary, picture, takesH264 } = this.#session;
    if (summary.state !== "playing") this.#pictures.confirm(false);
    const repaired = before !== null && before.state !== "playing" && summary.state === "playing" && summary.video;
    if (repaired && picture === false && takesH264)
      this.#ended("picture_returned"); // the session has no place for it
    else if (this.state === "stalled" || this.state === "waiting") this.#stalled();
    else this.#showMessage();
  }

  #goOn() {
    this.#playback.play();
    this.#awaitFrame();
  }

  #showSource() {
    this.#playback.show(this.#session.source);
    this.#awaitFrame();
  }

  /** Be told of the next frame at once, not at the next look at the statistics. */
  #awaitFrame() {
    const session = this.#session;
    this.video.requestVideoFrameCallback?.(() => {
      if (this.#session === session && this.#playback.plays(session.source)) this.#moved();
    });
  }

  async #watch() {
    const now = performance.now();
    const asleep = this.#pictures.looked(now);
    const session = this.#session;
    if (session === null) return;
    if (asleep) this.#check();
    const sum = await session.progress(this.video);
    if (session !== this.#session || sum === null) return;
    this.#roaming.looked(sum, asleep);
    const { pictured, heard } = this.#pictures.count(sum, now, asleep);
    if (this.#playback.displaced) this.#playback.restore();
    else if (this.#playback.paused && (pictured || heard)) this.#playback.resume();
    else if (pictured) this.#moved();
    else if (heard && noPicture(session)) this.#heard();
    else if (heard && sum.video && document.hidden)
      this.#moved(); // a hidden page need not decode
    else if (heard && !sum.video && session.summary === null)
      this.#check(); // what comes without a picture?
    else if (this.#pictures.overdue(performance.now())) this.#stalled();
  }

  /** A picture has come, and the next is awaited. */
  #moved() {
    const now = performance.now();
    this.#pictures.moved(now);
    if (this.state !== "playing") {
      this.#retrying.plays(now);
      this.#mark("firstFrame");
      if (this.#session.way === "websocket") this.#sessions.detour.works();
      else this.#sessions.detour.pictured();
      this.#enter("playing");
      this.#dispatch("playing");
    } else {
      this.#retrying.goesOn(now);
    }
  }

  /** Sound comes, and there is a reason why no picture does. */
  #heard() {
    const now = performance.now();
    this.#pictures.heard(now);
    this.#retrying.reset();
    this.#awaitFrame();
    this.#enter("soundonly");
    if (this.#pictures.questionable(now, { heard: true })) this.#check();
  }

  /** No frame for a while: find out whose fault it is. */
  #stalled() {
    const { detour, now: session } = this.#sessions;
    const { summary } = session;
    const down = summary !== null && summary.state !== "playing";
    if (this.state === "playing") {
      this.#dispatch("stalled");
      this.#awaitFrame();
    }
    session.report?.();
    const now = performance.now();
    this.#pictures.stalled(now);
    this.#enter(down ? "waiting" : this.state === "connecting" ? "connecting" : "stalled");
    const excused = down || hindrance(summary);
    if (!excused && this.#pictures.over(now)) this.#failed(this.#sessions.whyStopped(this.#pictures));
    else if (!excused && this.#pictures.dark(now) && detour.failsOver) this.#sessions.fallBack({ dark: true });
    else if (this.#pictures.questionable(now)) this.#check();
  }

  async #check() {
    const session = this.#session;
    this.#pictures.asked(performance.now());
    const known = await session.check();
    if (session === this.#session && known && session.summary?.state === "playing") this.#pictures.confirm(true);
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
    const startable = this.state === "idle" && this.getAttribute("camera") && !this.unable;
    this.#parts.start.hidden = !startable && this.state !== "paused";
    this.#parts.message.classList.toggle("low", !this.#parts.start.hidden); // the button stands in the middle
  }

  #showMessage() {
    const text = message(this.state, this.#session, this.#reason, this.#pictures.undecoded, this.#playback.refused);
    if (this.#parts.message.textContent !== text) this.#parts.message.textContent = text;
    const session = this.#session;
    this.#parts.mute.title = session?.way === "websocket" ? "" : (session?.summary?.sound ?? ""); // which carries AAC, too
  }

  #dispatch(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #onPageHide = () => {
    this.#sessions.drop();
    this.#sessions.detour.drop();
  };

  #onPageShow = ({ persisted }) => {
    if (persisted && this.#wanted) this.#start(); // back from the browser's cache of pages
  };
}

customElements.define("camshaft-player", CamshaftPlayer);
