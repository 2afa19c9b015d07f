// Which session a player has: by the way that media gets through, and another one before that ends or where media gets
// through another way. A player hears of the session that it has, and of no other.

import { connectionStateOf } from "./browser.js";
import { Detour } from "./detour.js";
import { Opening } from "./opening.js";
import { Renewal } from "./renewal.js";
import { SignallingError } from "./signalling.js";
import { blocked } from "./ways.js";
import { UNDECODED } from "./words.js";

export class Sessions {
  now = null; // the one that the player has
  detour;
  #opening;
  #player;
  #element;
  #renewal = null; // on the way to another session

  /**
   * `element` is the player's, `player` what is done there: begun(), when another session is the player's; showSource(),
   * and goOver(before, session) where it takes the place of one; renewed(); playing(), whether a picture or sound is there;
   * failed(error); cancelRetry(); and what the session tells: marked(name), connectionChanged(state), ended(reason),
   * cameraChanged(before).
   */
  constructor(element, player) {
    this.#element = element;
    this.#opening = new Opening(element);
    this.#player = player;
    this.detour = new Detour({
      fallBack: () => this.fallBack(),
      attempt: () => this.begin(this.#webRtc()),
      goBack: (session) => this.#goBack(session),
      pictured: async (session) => session.picture === false || (await session.progress(element.video))?.frames > 0,
    });
  }

  /** The session that is on the way, if there is one. */
  get next() {
    return this.#renewal?.next ?? null;
  }

  /** Where the server's pages are: a name or an address. */
  get host() {
    return this.#opening.host;
  }

  /** The player begins to connect: it tries its first way first. */
  prepare() {
    this.#opening.begin();
    this.detour.begin();
  }

  /** Have a session that has not begun, and leave what there was. */
  open() {
    this.drop();
    if (this.detour.taken) this.detour.goOn();
    this.#have(this.#made());
    return this.now;
  }

  /** Begin a session. */
  begin(session) {
    session.start().catch((error) => {
      if (this.now === session) this.#player.failed(error);
      else this.detour.heard(session, "failed");
    });
    return session;
  }

  /** No media gets through: go by the page's own port, and let WebRTC try on beside unless it is connected already. */
  fallBack({ dark = false } = {}) {
    const before = this.now;
    if (before === null) return;
    this.#stay();
    if (dark) this.detour.leave(before);
    else this.detour.take(before);
    this.#have(this.#mse());
    this.begin(this.now);
  }

  /** The session failed so, and is left; true where the next one is to begin at once, as another way is open to it. */
  failed(error) {
    const fellBack = this.now?.way === "websocket" && this.now.id === null;
    if (fellBack && !error.permanent && error.code !== "unreachable") this.detour.failed();
    if (error.code === "blocked") return true; // by HTTP
    if (!fellBack) this.#opening.failed(error.code);
    this.drop();
    return false;
  }

  /** Why the session shows no picture, though the server knows it and its camera plays: an error for the player. */
  whyStopped({ undecoded }) {
    const { pc } = this.now;
    if (pc && connectionStateOf(pc) !== "connected") {
      return new SignallingError("media_blocked", blocked(pc.remoteDescription?.sdp, this.host));
    }
    if (undecoded) return new SignallingError("undecoded", UNDECODED, true);
    return new SignallingError("media_stopped", "The picture stopped.");
  }

  /** The session has ended: go over to the one that is on the way. Returns whether there is one. */
  finish() {
    if (this.#renewal === null) return false;
    this.#renewal.finish();
    return true;
  }

  /** Leave all sessions, but for what is tried in the background. */
  drop() {
    this.detour.over();
    this.#stay();
    this.now?.close();
    this.now = null;
  }

  #webRtc() {
    const session = this.#opening.webRtc(this.#told(() => session));
    return session;
  }

  #mse() {
    const session = this.#opening.mse(this.#told(() => session));
    return session;
  }

  #made() {
    return this.detour.taken ? this.#mse() : this.#webRtc();
  }

  /** Whom a session tells; `itself` gives the session. */
  #told(itself) {
    const mine = (act, event) => (detail) => {
      if (this.now === itself()) act(detail);
      else if (event) this.detour.heard(itself(), event);
    };
    const player = this.#player;
    return {
      marked: mine((name) => this.#marked(name)),
      connected: (state) => mine((now) => player.connectionChanged(now), state === "failed" && "failed")(state),
      media: mine(() => player.showSource(), "media"),
      closed: mine((reason) => player.ended(reason), "closed"),
      cameraState: mine((before) => player.cameraChanged(before)),
      renew: mine(() => this.#renew()),
    };
  }

  #marked(name) {
    this.#player.marked(name);
    if (name === "answered") this.detour.answered();
  }

  /** This session is the player's from now on. */
  #have(session) {
    this.now = session;
    this.#player.begun();
  }

  /** WebRTC works after all. */
  #goBack(session) {
    this.#player.cancelRetry(); // there may be no session by the page's own port just now
    this.#stay();
    this.now?.close();
    this.#have(session);
    this.#player.showSource();
    session.check(); // what was said of the camera meanwhile was not listened to
  }

  /** The session will end soon, or may be dead: have another one, and only then leave this. */
  #renew() {
    this.#renewal ??= new Renewal(this.#made(), this.#element.video, {
      playing: () => this.#player.playing(),
      over: (next) => this.#goOver(next),
      failed: (next, error) => {
        if (this.now === next) this.#player.failed(error);
        else next.close();
        if (this.#renewal?.next !== next) return;
        this.#renewal = null; // the server asks again
        if (next.way === "websocket") this.now?.restart(); // if that is why
      },
    });
  }

  #goOver(next) {
    const before = this.now;
    this.#renewal = null;
    this.#have(next);
    this.#player.goOver(before, next);
    before.close();
    this.#player.renewed();
  }

  /** Leave what was begun beside the session that there is. */
  #stay() {
    this.#renewal?.cancel();
    this.#renewal = null;
  }
}
