// Which way a player goes: WebRTC where that gets through, and else, within three seconds, the page's own port. Who went
// there tries WebRTC quietly now and then, and goes back as soon as it works. What the network let through last is kept
// in mind for the page and those that follow it, so that not every player finds it out anew. A network may be dark: WebRTC
// connects, as small packets get through, and no picture comes; there it works once a picture has come in the background.
// Where a browser has no WebRTC, as some are set up, the page's own port is the only way.

import { hasTransceivers, hasWebRtc } from "./browser.js";
import { canUseMse } from "./mse.js";

const FALL_BACK_AFTER = 1900; // ms from the answer, until which WebRTC has to be connected; it goes on trying beside
const TRY_FOR = 8000; // ms that an attempt in the background may take
const AGAIN_FIRST = 15_000; // ms until the next; doubled each time …
const AGAIN_LONGEST = 300_000; // … up to this
const LOOK_INTERVAL = 250; // ms between looks whether a picture has come in the background
const REMEMBERED = 600_000; // ms for which a network is taken to let no media through
const BARRED_FIRST = 4000; // ms for which the page's own port is not tried again after it failed as well; doubled each time …
const BARRED_LONGEST = 64_000; // … up to this
const PROVED = 5; // failures in a row of a way that has worked: a server that starts anew, rather than a proxy
const KEY = "camshaft-no-webrtc-until"; // in the storage of the tab: Unix time in ms, negative where the network is dark

export class Detour {
  taken = false; // whether the page's own port is the way now
  #player;
  #timer = 0;
  #trying = null; // a session by WebRTC in the background
  #only = false; // whether there is no WebRTC
  #dark = false; // whether WebRTC has connected here, and no picture came
  #pause = AGAIN_FIRST;
  #tryAt = 0; // when the next attempt is due, 0 if none is
  #waiting = false; // for a session by WebRTC to connect that was answered
  #barredUntil = 0;
  #failures = 0; // of the page's own port, in a row
  #proved = false; // whether it has ever worked

  /**
   * `player` has fallBack(), attempt(), which begins a session by WebRTC in the background, goBack(session), and
   * pictured(session), which gives a promise of whether a picture has come by that.
   */
  constructor(player) {
    this.#player = player;
  }

  /** A player begins to connect. */
  begin() {
    addEventListener("online", this.#onNetwork);
    this.#pause = AGAIN_FIRST;
    this.#tryAt = 0;
    this.#only = !(hasWebRtc() && hasTransceivers());
    this.taken = canUseMse() && (this.#only || Math.abs(recall()) > Date.now());
    this.#dark = this.taken && recall() < 0;
  }

  /** A session by WebRTC was answered, and has yet to connect. */
  answered() {
    if (this.taken || !canUseMse()) return;
    this.#waiting = true;
    this.#in(Math.max(FALL_BACK_AFTER, this.#barredUntil - performance.now()), () => this.#player.fallBack());
  }

  /** WebRTC has connected. */
  connected() {
    clearTimeout(this.#timer);
    this.taken = this.#waiting = false;
    this.#pause = AGAIN_FIRST;
    this.#tryAt = 0;
    if (!this.#dark) remember(0);
  }

  /** A picture has come by WebRTC. */
  pictured() {
    if (!this.#dark) return;
    this.#dark = false;
    remember(0);
  }

  /** Whether a session by WebRTC that failed before it was connected leads to the page's own port. */
  get failsOver() {
    return !this.taken && this.#possible;
  }

  /** Go by the page's own port from now on; this session by WebRTC goes on in the background. */
  take(session) {
    this.taken = true;
    this.#waiting = false;
    this.#trying = session;
    this.#in(TRY_FOR, () => this.#giveUp());
  }

  /** The same where it has connected, and no picture comes: it is of no use. */
  leave(session) {
    this.#dark = true;
    this.taken = true;
    session.close();
    this.#tryLater();
  }

  /** A session by the page's own port begins: the first after all, or another. What is tried in the background goes on. */
  goOn() {
    if (this.#trying === null) this.#tryLater();
  }

  /** The session that is shown is over. */
  over() {
    if (!this.taken) this.drop();
  }

  /** There is a picture by the page's own port. */
  works() {
    this.#failures = 0;
    this.#proved = true;
    remember((this.#dark ? -1 : 1) * (Date.now() + REMEMBERED));
  }

  /** The page's own port failed, though the server can be reached there: WebRTC again, and for a while nothing else. */
  failed() {
    if (this.#only) return;
    this.#failures += 1;
    const counted = this.#failures - (this.#proved ? PROVED : 0);
    if (counted < 1) return;
    this.drop();
    this.taken = false;
    this.#tryAt = 0;
    this.#barredUntil = performance.now() + Math.min(BARRED_FIRST * 2 ** (counted - 1), BARRED_LONGEST);
  }

  /** A session in the background tells something: its media comes, or it is over. */
  heard(session, event) {
    if (session !== this.#trying) return;
    if (event !== "media") this.#giveUp();
    else if (this.#dark) this.#await(session);
    else this.#goBack(session);
  }

  /** The player wants nothing more. */
  end() {
    removeEventListener("online", this.#onNetwork);
    this.drop();
  }

  /** Try nothing more. */
  drop() {
    clearTimeout(this.#timer);
    this.#waiting = false;
    this.#trying?.close();
    this.#trying = null;
  }

  get #possible() {
    return performance.now() > this.#barredUntil && canUseMse();
  }

  #goBack(session) {
    this.#trying = null;
    this.#dark = false; // where it was, a picture has come
    this.connected();
    this.#player.goBack(session);
  }

  /** Go back once a picture has come. */
  async #await(session) {
    while (session === this.#trying) {
      if (await this.#player.pictured(session)) {
        if (session === this.#trying) this.#goBack(session);
        return;
      }
      await new Promise((then) => setTimeout(then, LOOK_INTERVAL));
    }
  }

  #try() {
    this.#tryAt = 0;
    this.#trying = this.#player.attempt();
    this.#in(TRY_FOR, () => this.#giveUp());
  }

  /** Sessions by the page's own port may come and go meanwhile. */
  #tryLater() {
    if (this.#only) return;
    const now = performance.now();
    if (!this.#tryAt) {
      this.#tryAt = now + this.#pause;
      this.#pause = Math.min(2 * this.#pause, AGAIN_LONGEST);
    }
    this.#in(Math.max(0, this.#tryAt - now), () => this.#try());
  }

  #giveUp() {
    this.#trying?.close();
    this.#trying = null;
    this.#tryLater();
  }

  /** Another network may let media through. */
  #onNetwork = () => {
    this.#pause = AGAIN_FIRST;
    this.#failures = this.#barredUntil = 0;
    this.#dark = false;
    remember(0);
    if (this.#waiting) this.answered();
    if (!this.taken || this.#only) return;
    this.#trying?.close();
    this.#try();
    this.#tryAt = performance.now(); // once more, should this session's connection turn out to be dead as well
  };

  #in(ms, act) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(act, ms);
  }
}

let until = 0; // where a page has no storage

function recall() {
  try {
    return Number(sessionStorage.getItem(KEY)) || until;
  } catch {
    return until;
  }
}

function remember(time) {
  until = time;
  try {
    if (time) sessionStorage.setItem(KEY, String(time));
    else sessionStorage.removeItem(KEY);
  } catch {
    // a frame of another site, or storage that is switched off
  }
}
