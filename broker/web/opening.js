// Makes a player's sessions: of which camera, by which signalling, and with what is wished of the picture.

import { HOME, SERVED, serverAt, showToken } from "./address.js";
import { heightOf } from "./height.js";
import { MseSession } from "./mse.js";
import { Session } from "./session.js";
import { iceServersOf } from "./signalling.js";
import { SocketSignalling } from "./socket.js";
import { WhepSignalling } from "./whep.js";

if (SERVED) iceServersOf(HOME); // so that the first click need not wait for them
const SOCKET_FAILURES = new Set(["disconnected", "unreachable"]); // after which the other way is tried

export class Opening {
  #player;
  #byHttp = false; // signalling "ws" did not get through

  /** `player` is the element, whose attributes say what is wanted. */
  constructor(player) {
    this.#player = player;
  }

  /** A player begins to connect: it tries its first way first. */
  begin() {
    this.#byHttp = false;
  }

  /** A session failed so: where signalling did not get through, the next one goes the other way. */
  failed(code) {
    if (SOCKET_FAILURES.has(code)) this.#byHttp = !this.#byHttp;
  }

  /** Where the server's pages are: a name or an address. */
  get host() {
    return this.#base().hostname;
  }

  /** A session that has not begun; `told` is whom it tells (see ServedSession). */
  webRtc(told) {
    return new Session(this.#signalling(), iceServersOf(this.#base()), ...this.#order(told));
  }

  /** The same by the page's own port. */
  mse(told) {
    return new MseSession(this.#base(), this.#signalling(), ...this.#order(told), this.#player.video);
  }

  #order(told) {
    const camera = this.#player.getAttribute("camera") ?? "";
    const stream = () => this.#player.getAttribute("stream") ?? "auto";
    const wish = () => ({ stream: stream(), height: heightOf(this.#player.video) });
    return /** @type {const} */ ([camera, wish, told]);
  }

  #base() {
    const { server, token } = this.#player;
    const base = server ? serverAt(server) : new URL(HOME);
    showToken(base, token);
    return base;
  }

  #signalling() {
    const base = this.#base();
    const first = this.#player.signalling ?? (base.origin === location.origin ? "ws" : "whep");
    if (this.#byHttp || first === "whep") return new WhepSignalling(base);
    const socket = SocketSignalling.to(base);
    return socket.blocked ? new WhepSignalling(base) : socket;
  }
}
