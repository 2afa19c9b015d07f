// One WebRTC session, from its offer to its end. It never tries again; its player does.

import { carries, connectionStateOf, followConnection, makeOffer, makeRestartOffer, names, progressOf } from "./browser.js";
import { errorOf, reportOf } from "./report.js";
import { fragmentOf, renewed } from "./restart.js";
import { SignallingError } from "./signalling.js";
import { NOT_UNDERSTOOD } from "./words.js";

const REPORT_INTERVAL = 2000; // ms
const REPORT_AT = [1500, 6000]; // ms from the answer at which it is told what was tried, unless media can flow by then
const MAX_ERRORS = 16;

export class Session {
  id = null;
  pc = null; // once it has begun
  way = "webrtc";
  source = new MediaStream(); // for the video element
  summary = null; // how the camera is: what the server said last
  picture = null; // whether the answer has one; null before there is an answer
  takesH264 = true; // whether the browser's offer does
  #signalling;
  #wish;
  #told = 0; // height
  #iceServers; // they, or a promise of them
  #player;
  #found = []; // candidates, until the session has an id
  #answer = ""; // SDP
  #restarting = null; // a promise, while ICE is
  #errors = []; // of STUN and TURN servers
  #reported = -Infinity; // when the server was told last how it goes here
  #over = false;

  /**
   * `wish` is a function that gives {stream, height}. `player` is told of marked(name), connected(state), media(),
   * closed(reason), renew() and cameraState(summary before).
   */
  constructor(signalling, iceServers, camera, wish, player) {
    this.#signalling = signalling;
    this.#iceServers = iceServers;
    this.camera = camera;
    this.#wish = wish;
    this.#player = player;
  }

  /** Offer and answer. Throws SignallingError. */
  async start() {
    const iceServers = await this.#iceServers;
    if (this.#over) return;
    const offer = await this.#accepted(async () => {
      this.#connect(iceServers);
      return makeOffer(this.pc);
    });
    if (this.#over) return;
    this.takesH264 = names(offer, "H264");
    this.#player.marked("offered");
    const wish = this.#wish();
    this.#told = wish.height;
    const { session, sdp } = await this.#signalling.open(this.camera, offer, this, wish);
    this.id = session;
    if (this.#over) {
      this.#signalling.close(session);
      return;
    }
    this.#player.marked("answered");
    this.picture = carries(sdp, "video");
    await this.#accepted(() => this.pc.setRemoteDescription({ type: "answer", sdp }));
    this.#answer = sdp;
    this.#found.splice(0).forEach((candidate) => this.#trickle(candidate));
    for (const ms of REPORT_AT) setTimeout(() => this.#connected || this.report(), ms);
  }

  /** Restart ICE: the network has become another. Gives a promise of whether that was done; never throws. */
  restart() {
    if (!this.#answer || this.#over) return Promise.resolve(false);
    this.#restarting ??= this.#restart()
      .catch((error) => (console.info("Camshaft: ICE was not restarted:", error), false))
      .finally(() => (this.#restarting = null));
    return this.#restarting;
  }

  /** Nothing comes: a promise of whether the connection to the server was dead, too, and is made anew. */
  doubt() {
    return this.#signalling.doubt();
  }

  /** The picture stands on the screen with another height. */
  resized() {
    const wish = this.#wish();
    if (this.id === null || this.#over || !wish.height || wish.height === this.#told) return;
    this.#told = wish.height;
    this.#signalling.show(this.id, wish);
  }

  /** There is another connection to the server, which perhaps knows nothing of what it was told before. */
  attached() {
    this.#told = 0;
    this.resized();
  }

  /** Tell the server what this browser has tried and got, for the person who is asked why there is no picture. */
  async report() {
    if (this.id === null || this.#over || performance.now() < this.#reported + REPORT_INTERVAL) return;
    this.#reported = performance.now();
    const found = await reportOf(this.pc, this.#errors).catch(() => null);
    if (found && !this.#over) this.#signalling.report(this.id, found);
  }

  /** Whether the server still knows it; also has the camera's state told. `undefined`: it cannot be asked. */
  async check() {
    return this.id === null || this.#over ? undefined : this.#signalling.check(this.id);
  }

  /** See `progressOf`; null before anything can have come. */
  async progress(video) {
    return this.pc === null ? null : progressOf(this.pc, video);
  }

  /** End it, here and at the server. */
  close() {
    if (this.#over) return;
    this.#over = true;
    // The server first: once it hears the connection's own farewell there is no session left that could be ended.
    const told = this.id === null ? null : this.#signalling.close(this.id);
    Promise.resolve(told).then(() => this.pc?.close());
  }

  /** The server says that it is over. */
  closed(reason) {
    if (this.#over) return;
    this.#over = true;
    this.pc?.close();
    this.#player.closed(reason);
  }

  /** The server says that it will be over soon, and that a new one is to be made before that. */
  renew() {
    if (!this.#over) this.#player.renew();
  }

  /** Show it within `stream` from now on, in place of what that has. */
  into(stream) {
    const before = stream.getTracks();
    for (const track of this.source.getTracks()) stream.addTrack(track); // first: an empty stream would show nothing
    for (const track of before) stream.removeTrack(track);
    this.source = stream;
  }

  /** The server says how the camera is. */
  cameraState(summary) {
    const before = this.summary;
    this.summary = summary;
    if (!this.#over) this.#player.cameraState(before);
  }

  async #restart() {
    const offer = await makeRestartOffer(this.pc); // again, if one was not answered: then that counts no more
    const fragment = await this.#signalling.restart(this.id, fragmentOf(offer));
    const sdp = renewed(this.#answer, fragment);
    if (this.#over || sdp === null) return false;
    await this.pc.setRemoteDescription({ type: "answer", sdp });
    this.#answer = sdp;
    return true;
  }

  get #connected() {
    return connectionStateOf(this.pc) === "connected";
  }

  #connect(iceServers) {
    this.pc = new RTCPeerConnection({ bundlePolicy: "max-bundle", iceServers });
    for (const kind of ["video", "audio"]) {
      // No buffer beyond what the network makes necessary: this is live.
      this.pc.addTransceiver(kind, { direction: "recvonly" }).receiver.jitterBufferTarget = 0;
    }
    this.pc.ontrack = ({ track }) => {
      this.source.addTrack(track);
      track.addEventListener("unmute", () => this.#over || this.#player.media());
    };
    this.pc.onicecandidate = ({ candidate }) => this.#trickle(candidate);
    this.pc.onicecandidateerror = (error) => this.#errors.length < MAX_ERRORS && this.#errors.push(errorOf(error));
    followConnection(this.pc, (state) => this.#over || this.#player.connected(state));
  }

  /** Do what the browser may refuse with an error of its own, which is no sentence for people. */
  async #accepted(act) {
    try {
      return await act();
    } catch (error) {
      if (!this.#over) console.warn("Camshaft: the browser refuses:", error);
      throw new SignallingError("not_understood", NOT_UNDERSTOOD, true);
    }
  }

  #trickle(candidate) {
    if (this.id === null) this.#found.push(candidate);
    else if (!this.#over) this.#signalling.trickle(this.id, candidate);
  }
}
