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

import { HOME, SERVED, serverAt, showToken } from "./address.js";
import { WithAttributes } from "./attributes.js";
import { connectionStateOf, fullScreenOf } from "./browser.js";
import { followHeight, heightOf } from "./height.js";
import { furnish, showMuted } from "./look.js";
import { Detour } from "./detour.js";
import { MseSession } from "./mse.js";
import { Pace } from "./pace.js";
import { Playback } from "./playback.js";
import { Renewal } from "./renewal.js";
import { Roaming } from "./roaming.js";
import { Session } from "./session.js";
import { SignallingError, iceServersOf, jittered } from "./signalling.js";
import { SocketSignalling } from "./socket.js";
import { blocked } from "./ways.js";
import { WhepSignalling } from "./whep.js";
import { CLOSED, NO_SERVER, UNDECODED, hindrance, message, noPicture, unable } from "./words.js";

if (SERVED) iceServersOf(HOME); // so that the first click need not wait for them
const WATCH_INTERVAL = 500; // ms between looks at the statistics
const STALLED_AFTER = 1500; // ms without a frame
const CHECK_INTERVAL = 400; // ms between questions to the server while no frame comes
const SOUND_CHECK_INTERVAL = 3000; // ms between questions whether a camera that gives only sound has a picture again
const GIVE_UP_AFTER = 8000; // ms without a frame although server and camera say that all is well
const RETRY_FIRST = 100; // ms
const RETRY_LONGEST = 4000; // ms
const RETRY_PERMANENT = 10000; // ms after an error that only somebody's action can mend
const STEADY_AFTER = 5000; // ms of playing after which the next failure is a new one
const DARK_AFTER = 4000; // ms without a first picture, though WebRTC has connected and all else is well …
const LOST_AFTER = 1500; // … and where more is lost than comes: then no waiting helps
const UNSENT_AFTER = 12_000; // ms likewise where nothing at all has come: the camera may be one of a time-lapse
const LOST = 0.1; // share of packets lost that leaves no picture whole
const UNDECODED_AFTER = 4000; // ms without a picture although whole ones come
const ASLEEP_AFTER = 4000; // ms between two looks that must have been a frozen page, not a stalled stream
const NOTHING_SEEN = { frames: 0, bytes: 0, received: 0, lost: 0, packets: 0 };
const SOCKET_FAILURES = new Set(["disconnected", "unreachable"]); // after which the other way is tried

export class CamshaftPlayer extends WithAttributes {
  // idle, connecting, playing, soundonly, paused (by browser or phone), stalled, waiting (for the camera), retrying, failed
  state = "idle";
  timing = {};
  #parts;
  #playback;
  #detour;
  #session = null;
  #roaming = new Roaming({
    restart: () => this.#session?.restart() ?? false,
    doubt: () => this.#session?.doubt() ?? false,
    look: () => this.#watch(),
  });
  #renewal = null; // on the way to another session
  #wanted = false;
  #byHttp = false; // signalling "ws" did not get through
  #began = 0;
  #failures = 0; // in a row
  #reason = ""; // of the last failure, for the message
  #retryTimer = 0;
  #watchTimer = 0;
  #looked = 0; // when the statistics were last looked at
  #seen = NOTHING_SEEN;
  #pace = new Pace();
  #arrives = false; // whether whole pictures came between the last two looks
  #undecoded = false; // and have for so long that it must be this browser
  #movedAt = 0; // when they last showed progress
  #connectedAt = Infinity;
  #steadySince = 0;
  #checkedAt = 0;
  #confirmed = false; // the server knew the session and its camera played, both since the picture stopped

  constructor() {
    super();
    const parts = (this.#parts = furnish(this.attachShadow({ mode: "open" })));
    const { video, start, mute, full } = parts;
    video.muted = true; // or browsers would not let it play by itself
    this.#playback = new Playback(video, {
      paused: () => this.#session !== null && this.#enter("paused"),
      muted: () => parts.controls.classList.add("on"), // sound needs a click: show where
    });
    this.#detour = new Detour({
      fallBack: () => this.#fallBack(),
      attempt: () => this.#begin(this.#webRtc()),
      goBack: (session) => this.#goBack(session),
      pictured: async (session) => session.picture === false || (await session.progress(this.video))?.frames > 0,
    });
    start.onclick = () => (this.state === "idle" ? this.connect() : this.#goOn());
    mute.onclick = () => (video.muted = !video.muted);
    const fullScreen = fullScreenOf(this, video);
    full.hidden = fullScreen === null;
    full.onclick = fullScreen;
    video.onvolumechange = () => {
      showMuted(mute, video.muted);
      if (!video.muted) parts.controls.classList.remove("on");
    };
    showMuted(mute, true);
    followHeight(video, () => this.#session?.resized());
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

  /** Why this browser can show no camera at all; empty if it can. */
  get unable() {
    return unable();
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
    this.disconnect();
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
    this.#byHttp = false;
    this.#undecoded = false;
    this.#failures = 0;
    this.#pace = new Pace(); // it may be another camera
    this.#reason = "";
    this.#began = performance.now();
    this.timing = {};
    this.#detour.begin();
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
    clearTimeout(this.#retryTimer);
    this.#drop();
    this.#detour.end();
    this.#playback.show(null);
    this.#enter("idle");
    this.#dispatch("closed", { reason: "disconnected" });
  }

  /** A promise of numbers about the picture, with the names of getStats(). */
  async stats() {
    const found = { state: this.state, camera: this.getAttribute("camera"), session: this.session };
    found.way = this.#session?.way ?? "";
    const report = (await this.pc?.getStats()) ?? new Map();
    report.forEach((entry) => {
      if (entry.type === "inbound-rtp") {
        const codec = report.get(entry.codecId)?.mimeType;
        found[entry.kind ?? entry.mediaType] = { ...entry, codec };
      } else if (entry.type === "transport") {
        found.transport = { ...entry };
      } else if (entry.type === "candidate-pair" && entry.nominated) {
        found.roundTripTime = entry.currentRoundTripTime;
      }
    });
    return found;
  }

  /** Once all attributes are there: Angular sets those that are bound after the element has been put into the page. */
  #connectByItself() {
    Promise.resolve().then(() => this.isConnected && this.autoconnect && this.camera && this.connect());
  }

  #start() {
    clearTimeout(this.#retryTimer);
    this.#drop();
    if (this.#detour.taken) this.#detour.goOn();
    const session = this.#detour.taken ? this.#mse() : this.#webRtc();
    this.#show(session);
    // Early, so that the video element is ready when the first frame is. But never after a failure, so that the last
    // picture stays until the next one is there, and not while the page loads: it would seem to load until that frame.
    if (this.state === "idle" && document.readyState === "complete" && session.source) this.#showSource();
    if (this.state !== "stalled") this.#enter("connecting");
    this.#begin(session);
  }

  #webRtc() {
    const session = new Session(this.#signalling(), iceServersOf(this.#base()), ...this.#order(() => session));
    return session;
  }

  #mse() {
    const session = new MseSession(this.#base(), this.#signalling(), ...this.#order(() => session), this.video);
    return session;
  }

  /** What every session is told: the camera, what is wished of it, and whom it tells; `itself` gives the session. */
  #order(itself) {
    const camera = this.getAttribute("camera") ?? "";
    const wish = () => ({ stream: this.getAttribute("stream") ?? "auto", height: heightOf(this.video) });
    const mine = (act, event) => (detail) => {
      if (this.#session === itself()) act(detail);
      else if (event) this.#detour.heard(itself(), event);
    };
    const told = {
      marked: mine((name) => this.#marked(name)),
      connected: (state) => mine((now) => this.#connectionChanged(now), state === "failed" && "failed")(state),
      media: mine(() => this.#showSource(), "media"),
      closed: mine((reason) => this.#ended(reason), "closed"),
      cameraState: mine((before) => this.#cameraChanged(before)),
      renew: mine(() => this.#renew()),
    };
    return /** @type {const} */ ([camera, wish, told]);
  }

  #begin(session) {
    session.start().catch((error) => {
      if (this.#session === session) this.#failed(error);
      else this.#detour.heard(session, "failed");
    });
    return session;
  }

  /** This session is the player's from now on. */
  #show(session) {
    this.#session = session;
    this.#roaming.begin();
    this.#seen = NOTHING_SEEN;
    this.#movedAt = this.#looked = performance.now();
    this.#connectedAt = Infinity;
    this.#confirmed = false;
  }

  /** No media gets through: go by the page's own port, and let WebRTC try on beside unless it is connected already. */
  #fallBack({ dark = false } = {}) {
    const before = this.#session;
    if (before === null) return;
    if (dark) this.#detour.leave(before);
    else this.#detour.take(before);
    const session = this.#mse();
    this.#show(session);
    this.#begin(session);
  }

  /** WebRTC works after all. */
  #goBack(session) {
    clearTimeout(this.#retryTimer); // there may be no session by the page's own port just now
    this.#session?.close();
    this.#show(session);
    this.#showSource();
    session.check(); // what was said of the camera meanwhile was not listened to
  }

  /** The session will end soon: have another one, and only then leave this. */
  #renew() {
    this.#renewal ??= new Renewal(this.#webRtc(), this.video, {
      playing: () => this.state === "playing" || this.state === "soundonly",
      over: (next) => this.#goOver(next),
      failed: (next, error) => {
        if (this.#session === next) this.#failed(error);
        else next.close();
        if (this.#renewal?.next === next) this.#renewal = null; // the server asks again
      },
    });
  }

  #goOver(next) {
    const before = this.#session;
    this.#renewal = null;
    this.#show(next);
    if (this.video.srcObject === before.source) {
      next.into(before.source);
      this.#awaitFrame();
    }
    before.close();
    this.#dispatch("renewed");
  }

  #drop() {
    this.#detour.over();
    this.#renewal?.cancel();
    this.#renewal = null;
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
    const failedOver = this.#session?.way === "websocket" && this.#session.id === null;
    if (failedOver && !error.permanent && error.code !== "unreachable") this.#detour.failed();
    if (error.code === "blocked") {
      this.#start(); // by HTTP
      return;
    }
    if (SOCKET_FAILURES.has(error.code) && !failedOver) this.#byHttp = !this.#byHttp;
    this.#retry({ slowly: error.permanent });
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
    if (reason === "media_source_failed") this.#detour.failed();
    if (this.#renewal !== null) {
      this.#renewal.finish(); // the new one is on its way
      return;
    }
    this.#reason = "";
    this.#retry();
    this.#enter("retrying");
    this.#dispatch("closed", { reason });
  }

  #marked(name) {
    this.#mark(name);
    if (name === "answered") this.#detour.answered();
  }

  #connectionChanged(state) {
    if (state === "connected") {
      this.#mark("connected");
      this.#connectedAt = performance.now();
      this.#detour.connected();
    } else if (state === "disconnected") {
      this.#roaming.restart();
      this.#check();
    } else if (state === "failed") {
      if (this.timing.connected === undefined && this.#detour.failsOver) this.#fallBack();
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
    if (summary.state !== "playing") this.#confirmed = false;
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
    const asleep = now - this.#looked > ASLEEP_AFTER;
    this.#looked = now;
    const session = this.#session;
    if (session === null) return;
    if (asleep) {
      this.#movedAt = now; // nothing was looked at, so nothing is known to have stalled
      this.#check();
    }
    const sum = await session.progress(this.video);
    if (session !== this.#session || sum === null) return;
    this.#roaming.looked(sum, asleep);
    const pictured = sum.frames > this.#seen.frames;
    const heard = sum.bytes > this.#seen.bytes;
    this.#arrives = sum.received > this.#seen.received;
    this.#seen = sum;
    if (pictured && !asleep) this.#pace.pictured(now);
    if (this.#playback.displaced) this.#playback.restore();
    else if (this.#playback.paused && (pictured || heard)) this.#playback.resume();
    else if (pictured) this.#moved();
    else if (heard && noPicture(session)) this.#heard();
    else if (heard && sum.video && document.hidden)
      this.#moved(); // a hidden page need not decode
    else if (heard && !sum.video && session.summary === null)
      this.#check(); // what comes without a picture?
    else if (performance.now() - this.#movedAt > this.#pace.within(STALLED_AFTER)) this.#stalled();
  }

  /** A picture has come, and the next is awaited. */
  #moved() {
    const now = (this.#movedAt = performance.now());
    this.#confirmed = this.#undecoded = false;
    if (this.state !== "playing") {
      this.#steadySince = now;
      this.#mark("firstFrame");
      if (this.#session.way === "websocket") this.#detour.works();
      else this.#detour.pictured();
      this.#enter("playing");
      this.#dispatch("playing");
    } else if (now - this.#steadySince > STEADY_AFTER) {
      this.#failures = 0;
    }
  }

  /** Sound comes, and there is a reason why no picture does. */
  #heard() {
    const now = (this.#movedAt = performance.now());
    this.#failures = 0;
    this.#awaitFrame();
    this.#enter("soundonly");
    if (now - this.#checkedAt > SOUND_CHECK_INTERVAL) this.#check(); // with WHEP nothing else tells
  }

  /** No frame for a while: find out whose fault it is. */
  #stalled() {
    const { summary } = this.#session;
    const down = summary !== null && summary.state !== "playing";
    if (this.state === "playing") {
      this.#dispatch("stalled");
      this.#awaitFrame();
    }
    this.#session.report?.();
    const now = performance.now();
    this.#undecoded = this.#arrives && now - this.#movedAt > UNDECODED_AFTER;
    this.#enter(down ? "waiting" : this.state === "connecting" ? "connecting" : "stalled");
    if (!down && !hindrance(summary) && this.#confirmed && now - this.#movedAt > this.#pace.within(GIVE_UP_AFTER, 2)) {
      this.#failed(this.#whyStopped());
    } else if (!down && !hindrance(summary) && this.#confirmed && this.#isDark(now)) {
      this.#fallBack({ dark: true });
    } else if (now - this.#checkedAt > CHECK_INTERVAL) {
      this.#check();
    }
  }

  /** Whether WebRTC has connected and no picture comes, because it does not arrive. */
  #isDark(now) {
    const { frames, received, lost, packets } = this.#seen;
    const arrives = received > 0 && lost < LOST * (lost + packets); // else it is the browser that cannot decode it
    const patience = lost > packets ? LOST_AFTER : packets ? DARK_AFTER : UNSENT_AFTER;
    return frames === 0 && !arrives && now - this.#connectedAt > patience && this.#detour.failsOver;
  }

  #whyStopped() {
    if (this.pc !== null && connectionStateOf(this.pc) !== "connected") {
      return new SignallingError("media_blocked", blocked(this.pc?.remoteDescription?.sdp));
    }
    if (this.#undecoded) return new SignallingError("undecoded", UNDECODED, true);
    return new SignallingError("media_stopped", "The picture stopped.");
  }

  async #check() {
    const session = this.#session;
    this.#checkedAt = performance.now();
    const known = await session.check();
    if (session === this.#session && known && session.summary?.state === "playing") this.#confirmed = true;
  }

  #base() {
    const base = this.server ? serverAt(this.server) : new URL(HOME);
    showToken(base, this.token);
    return base;
  }

  #signalling() {
    const base = this.#base();
    const first = this.signalling ?? (base.origin === location.origin ? "ws" : "whep");
    if (this.#byHttp || first === "whep") return new WhepSignalling(base);
    const socket = SocketSignalling.to(base);
    return socket.blocked ? new WhepSignalling(base) : socket;
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
    const text = message(this.state, this.#session, this.#reason, this.#undecoded, this.#playback.refused);
    if (this.#parts.message.textContent !== text) this.#parts.message.textContent = text;
  }

  #dispatch(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #onPageHide = () => {
    this.#drop();
    this.#detour.drop();
  };

  #onPageShow = ({ persisted }) => {
    if (persisted && this.#wanted) this.#start(); // back from the browser's cache of pages
  };
}

customElements.define("camshaft-player", CamshaftPlayer);
