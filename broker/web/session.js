// One WebRTC session, from its offer to its end.

import { carries, connectionStateOf, followConnection, makeOffer, makeRestartOffer, names, progressOf } from "./browser.js";
import { makeConnection } from "./realm.js";
import { errorOf, reportOf } from "./report.js";
import { fragmentOf, renewed } from "./restart.js";
import { ServedSession } from "./served.js";
import { SignallingError } from "./signalling.js";
import { NOT_UNDERSTOOD } from "./words.js";

const REPORT_INTERVAL = 2000; // ms
const REPORT_AT = [1500, 6000]; // ms from the answer at which it is told what was tried, unless media can flow by then
const MAX_ERRORS = 16;

export class Session extends ServedSession {
  pc = null; // once it has begun
  way = "webrtc";
  source = new MediaStream(); // for the video element
  takesH264 = true; // whether the browser's offer does
  #iceServers; // they, or a promise of them
  #found = []; // candidates, until the session has an id
  #answer = ""; // SDP
  #restarting = null; // a promise, while ICE is
  #errors = []; // of STUN and TURN servers
  #reported = -Infinity; // when the server was told last how it goes here

  /** For the arguments see ServedSession; `iceServers` may be a promise of them. */
  constructor(signalling, iceServers, camera, wish, player) {
    super(signalling, camera, wish, player);
    this.#iceServers = iceServers;
  }

  /** Offer and answer. Throws SignallingError. */
  async start() {
    const iceServers = await this.#iceServers;
    if (this.over) return;
    const offer = await this.#accepted(async () => {
      await this.#connect(iceServers);
      return this.over ? "" : makeOffer(this.pc);
    });
    if (this.over) return;
    this.takesH264 = names(offer, "H264");
    this.player.marked("offered");
    const { session, sdp } = await this.signalling.open(this.camera, offer, this, this.wished());
    this.id = session;
    if (this.over) {
      this.signalling.close(session);
      return;
    }
    this.player.marked("answered");
    this.picture = carries(sdp, "video");
    await this.#accepted(() => this.pc.setRemoteDescription({ type: "answer", sdp }));
    this.#answer = sdp;
    this.#found.splice(0).forEach((candidate) => this.#trickle(candidate));
    for (const ms of REPORT_AT) setTimeout(() => this.#connected || this.report(), ms);
  }

  /** Restart ICE: the network has become another. Gives a promise of whether that was done; never throws. */
  restart() {
    if (!this.#answer || this.over) return Promise.resolve(false);
    this.#restarting ??= this.#restart()
      .catch((error) => (console.info("Camshaft: ICE was not restarted:", error), false))
      .finally(() => (this.#restarting = null));
    return this.#restarting;
  }

  /** Tell the server what this browser has tried and got, for the person who is asked why there is no picture. */
  async report() {
    if (this.id === null || this.over || performance.now() < this.#reported + REPORT_INTERVAL) return;
    this.#reported = performance.now();
    const found = await reportOf(this.pc, this.#errors).catch(() => null);
    if (found && !this.over) this.signalling.report(this.id, found);
  }

  /** See `progressOf`; null before anything can have come. */
  async progress(video) {
    return this.pc === null ? null : progressOf(this.pc, video);
  }

  /** End it, here and at the server. */
  close() {
    if (this.over) return;
    this.over = true;
    // The server first: once it hears the connection's own farewell there is no session left that could be ended.
    const told = this.id === null ? null : this.signalling.close(this.id);
    Promise.resolve(told).then(() => this.pc?.close());
  }

  /** The server says that it will be over soon, and that a new one is to be made before that. */
  renew() {
    if (!this.over) this.player.renew();
  }

  /** Show it within the stream of `before` from now on, in place of what that has. Returns true. */
  into({ source: stream }) {
    const before = stream.getTracks();
    for (const track of this.source.getTracks()) stream.addTrack(track); // first: an empty stream would show nothing
    for (const track of before) stream.removeTrack(track);
    this.source = stream;
    return true;
  }

  end() {
    super.end();
    this.pc?.close();
  }

  async #restart() {
    const offer = await makeRestartOffer(this.pc); // again, if one was not answered: then that counts no more
    const fragment = await this.signalling.restart(this.id, fragmentOf(offer));
    const sdp = renewed(this.#answer, fragment);
    if (this.over || sdp === null) return false;
    await this.pc.setRemoteDescription({ type: "answer", sdp });
    this.#answer = sdp;
    return true;
  }

  get #connected() {
    return connectionStateOf(this.pc) === "connected";
  }

  async #connect(iceServers) {
    const pc = await makeConnection({ bundlePolicy: "max-bundle", iceServers });
    if (this.over) {
      pc.close();
      return;
    }
    this.pc = pc;
    for (const kind of ["video", "audio"]) {
      // No buffer beyond what the network makes necessary: this is live.
      this.pc.addTransceiver(kind, { direction: "recvonly" }).receiver.jitterBufferTarget = 0;
    }
    this.pc.ontrack = ({ track }) => {
      this.source.addTrack(track);
      track.addEventListener("unmute", () => this.over || this.player.media());
    };
    this.pc.onicecandidate = ({ candidate }) => this.#trickle(candidate);
    this.pc.onicecandidateerror = (error) => this.#errors.length < MAX_ERRORS && this.#errors.push(errorOf(error));
    followConnection(this.pc, (state) => this.over || this.player.connected(state));
  }

  /** Do what the browser may refuse with an error of its own, which is no sentence for people. */
  async #accepted(act) {
    try {
      return await act();
    } catch (error) {
      if (!this.over) console.warn("Camshaft: the browser refuses:", error);
      throw new SignallingError("not_understood", NOT_UNDERSTOOD, true);
    }
  }

  #trickle(candidate) {
    if (this.id === null) this.#found.push(candidate);
    else if (!this.over) this.signalling.trickle(this.id, candidate);
  }
}
