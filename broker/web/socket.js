// Signalling over the one WebSocket of a page. It reconnects by itself, and then attaches to its sessions again: media
// does not depend on it. Where it does not get through although requests do, because of a proxy or of one of the server's
// limits, it says so: `blocked`.

import { below } from "./address.js";
import { judge } from "./doubt.js";
import { RoundTrip } from "./round_trip.js";
import { REQUEST_TIMEOUT, SignallingError, arrivalAt, jittered, keepIceServers, refusal } from "./signalling.js";
import { UNREACHABLE, socketProblem } from "./words.js";

const CONNECT_TIMEOUT = 5000; // ms
const DOUBT_AFTER = 1500; // ms of connecting after which a proxy may be in the way that never answers
const BLOCKED_AFTER = 2; // failures beside a request that got through; one may be a server that was just starting
const PING_INTERVAL = 1000; // ms, while the page shows the list
const PONG_TIMEOUT = 3000; // ms
const CHECK_TIMEOUT = 4000; // ms; right after its start the server takes 2.5 s to say that it knows no session
const SESSIONS_STAY = 4000; // close code
const RIGHT_ENDED = 4401; // close code of a server that asks anew who we are
const OPEN = 1; // WebSocket.OPEN, also where there is no WebSocket
const RECONNECT_FIRST = 200; // ms
const RECONNECT_LONGEST = 3000; // ms
const RECONNECT_BLOCKED = 15_000; // ms

/**
 * Dispatches `cameras`, `camera` and `removed` with the server's message as `detail`, `heard` with every message, and
 * `online`, `offline`, `blocked`, and `rights` when the server asks anew who we are.
 */
export class SocketSignalling extends EventTarget {
  static #instances = new Map();

  /** The one socket to the server at `base` that all of this page shares. */
  static to(base) {
    const url = below(base, "ws");
    url.protocol = url.protocol.replace("http", "ws");
    if (!this.#instances.has(url.href)) this.#instances.set(url.href, new SocketSignalling(url, base));
    return this.#instances.get(url.href);
  }

  online = false;
  blocked = ""; // why there is no WebSocket although there is a server; empty while that is not known
  #url;
  #base;
  #socket = null;
  #subscribed = false;
  #listeners = new Map(); // session to listener
  #attaching = new Set(); // sessions that this socket was opened to take over
  #offers = new Map(); // id to {resolve, reject, listener}
  #restarts = new Map(); // id to {resolve, reject}
  #doubting = null; // a promise, while it is found out whether the socket is dead
  #checks = new Map(); // session to {promise, settle}
  #nextId = 1;
  #delay = RECONNECT_FIRST;
  #timer = 0;
  #waiting = false; // to connect again
  #misses = 0; // failures to connect beside a request that got through
  #heard = false; // whether this socket has ever brought anything: what opens may be a proxy that swallows all else
  #pinged = null; // when; null once something was heard since
  #pings = []; // when those were sent that no pong has come to
  #roundTrip = new RoundTrip();

  constructor(url, base) {
    super();
    this.#url = url;
    this.#base = base;
    addEventListener("online", () => this.#reconnectNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.#reconnectNow());
    this.#connect();
  }

  /** Hear of all cameras, not only of those of open sessions. */
  subscribe() {
    if (!this.#subscribed) setInterval(() => this.#ask(), PING_INTERVAL);
    this.#subscribed = true;
    this.#send({ type: "subscribe" });
  }

  async open(camera, sdp, listener, { stream, height }) {
    await this.#opened();
    const id = this.#nextId++;
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#lost(socket), REQUEST_TIMEOUT);
      const settle = (settler) => (value) => (clearTimeout(timer), settler(value));
      this.#offers.set(id, { resolve: settle(resolve), reject: settle(reject), listener });
      this.#send({ type: "offer", camera, sdp, id, stream, height });
      this.#ask(); // an answer may take its time, but a pong tells whether anything gets through at all
    });
  }

  adopt(session, listener) {
    this.#listeners.set(session, listener);
    return session;
  }

  show(session, { stream, height }) {
    this.#send({ type: "show", session, stream, height });
  }

  trickle(session, candidate) {
    const { candidate: text = "", sdpMid, sdpMLineIndex } = candidate ?? {};
    this.#send({ type: "candidate", session, candidate: text, sdpMid, sdpMLineIndex });
  }

  doubt(suspect = () => {}) {
    if (!this.#ping()) return Promise.resolve(false);
    this.#doubting ??= this.#isDead(suspect).finally(() => (this.#doubting = null));
    return this.#doubting;
  }

  async restart(session, fragment) {
    const socket = this.#socket;
    this.doubt(); // on another network the socket that there was is dead
    try {
      return await this.#restart(session, fragment);
    } catch (error) {
      if (error.code !== "disconnected" || socket === this.#socket) throw error;
    }
    return this.#restart(session, fragment); // the same answer, if it was carried out already
  }

  /** Whether the socket was dead; another one has taken its place then. */
  #isDead(suspect) {
    const socket = this.#socket;
    return new Promise((resolve) => {
      judge(this, this.#url, this.#roundTrip, suspect, (dead, spare) => {
        const lost = dead && socket === this.#socket;
        if (!lost) spare?.close();
        else {
          if (this.online) this.#lost(socket);
          if (spare) this.#follow(spare);
          else this.#reconnectNow();
        }
        resolve(lost);
      });
    });
  }

  async #restart(session, fragment) {
    await this.#opened();
    const id = this.#nextId++;
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#lost(socket), REQUEST_TIMEOUT);
      const settle = (settler) => (value) => (clearTimeout(timer), settler(value));
      this.#restarts.set(id, { resolve: settle(resolve), reject: settle(reject) });
      this.#send({ type: "restart", session, fragment, id });
    });
  }

  check(session) {
    if (this.#checks.has(session)) return this.#checks.get(session).promise;
    if (!this.#send({ type: "attach", session })) return Promise.resolve(undefined);
    const socket = this.#socket;
    const timer = setTimeout(() => this.#lost(socket), CHECK_TIMEOUT);
    let resolve;
    const promise = new Promise((settle) => (resolve = settle));
    this.#checks.set(session, { promise, settle: (known) => (clearTimeout(timer), resolve(known)) });
    return promise;
  }

  report(session, fields) {
    this.#send({ type: "report", session, host: this.#url.hostname, ...fields });
  }

  close(session) {
    this.#listeners.delete(session);
    this.#send({ type: "close", session });
  }

  #connect() {
    let socket = null;
    try {
      socket = new WebSocket(this.#url);
    } catch {
      this.#blockedBy(BLOCKED_AFTER); // no WebSocket in this browser, or none to such an address from such a page
      return;
    }
    this.#follow(socket, setTimeout(() => this.#blockedBy(BLOCKED_AFTER), DOUBT_AFTER));
    this.#timer = setTimeout(() => this.#lost(socket), CONNECT_TIMEOUT);
  }

  /** Speak by this socket from now on; `doubt` is a timer that ends once it is open, or will not be. */
  #follow(socket, doubt = 0) {
    clearTimeout(this.#timer);
    this.#waiting = false;
    this.#socket = socket;
    socket.onopen = () => {
      clearTimeout(this.#timer);
      clearTimeout(doubt);
      this.online = true;
      this.#heard = false;
      this.#pinged = null;
      this.#delay = RECONNECT_FIRST;
      this.#attaching = new Set(this.#listeners.keys());
      for (const session of this.#attaching) this.#send({ type: "attach", session });
      if (this.#subscribed) this.#send({ type: "subscribe" });
      this.#send({ type: "ice_servers" });
      this.#pings = [];
      this.#roundTrip.renew();
      this.#ping();
      this.dispatchEvent(new Event("online"));
    };
    socket.onmessage = ({ data }) => {
      this.#heard = true;
      this.blocked = "";
      this.#misses = 0;
      this.#pinged = null;
      this.#receive(JSON.parse(data));
      this.dispatchEvent(new Event("heard"));
    };
    socket.onclose = ({ code }) => {
      clearTimeout(doubt);
      if (code === RIGHT_ENDED) this.dispatchEvent(new Event("rights"));
      if (!this.online) this.#blockedBy(1);
      this.#closed();
    };
    if (socket.readyState === OPEN) socket.onopen();
  }

  /** It did not open. If a request gets through meanwhile, that counts as so many `misses`. */
  async #blockedBy(misses) {
    let arrival;
    try {
      arrival = await arrivalAt(this.#base, CONNECT_TIMEOUT);
    } catch (error) {
      arrival = error; // something else answers
    }
    if (arrival === null) return; // nothing does
    this.#misses += misses;
    if (this.online || this.#misses < BLOCKED_AFTER) return;
    this.blocked = arrival instanceof SignallingError ? arrival.message : socketProblem(arrival);
    this.dispatchEvent(new Event("blocked"));
  }

  /** Notice a server that stands still: a browser takes minutes to call its connection closed. */
  #ask() {
    if (this.#pinged !== null || !this.#ping()) return;
    const socket = this.#socket;
    const asked = (this.#pinged = performance.now());
    setTimeout(() => this.#pinged === asked && this.#lost(socket), PONG_TIMEOUT);
  }

  /** Nothing is heard from the server. A browser takes minutes to call such a connection closed. */
  #lost(socket) {
    if (socket !== this.#socket) return;
    const swallowed = this.online && !this.#heard;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(SESSIONS_STAY); // should it be heard after all
    this.#closed();
    if (swallowed) this.#blockedBy(1);
  }

  #closed() {
    this.online = false;
    for (const { reject } of [...this.#offers.values(), ...this.#restarts.values()]) {
      reject(new SignallingError("disconnected", "The connection to the server broke."));
    }
    for (const { settle } of this.#checks.values()) settle(undefined);
    this.#offers.clear();
    this.#restarts.clear();
    this.#checks.clear();
    clearTimeout(this.#timer);
    this.#waiting = true;
    this.#timer = setTimeout(() => this.#connect(), jittered(this.blocked ? RECONNECT_BLOCKED : this.#delay));
    this.#delay = Math.min(this.#delay * 2, RECONNECT_LONGEST);
    this.dispatchEvent(new Event("offline")); // who hears it may have another one already, or want it at once
  }

  #reconnectNow() {
    if (this.#waiting) this.#connect();
  }

  #opened() {
    if (this.online) return Promise.resolve();
    if (this.blocked) return Promise.reject(new SignallingError("blocked", UNREACHABLE)); // it was said already
    return new Promise((resolve, reject) => {
      const settle = (act) => () => {
        clearTimeout(timer);
        this.removeEventListener("online", opened);
        this.removeEventListener("blocked", blocked);
        act();
      };
      const refuse = (code, sentence) => settle(() => reject(new SignallingError(code, sentence)));
      const opened = settle(resolve);
      const blocked = refuse("blocked", UNREACHABLE);
      const timer = setTimeout(refuse("unreachable", UNREACHABLE), REQUEST_TIMEOUT);
      this.addEventListener("online", opened);
      this.addEventListener("blocked", blocked);
    });
  }

  #ping() {
    const sent = this.#send({ type: "ping" });
    if (sent) this.#pings.push(performance.now());
    return sent;
  }

  #send(message) {
    if (this.#socket?.readyState !== OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #receive(message) {
    switch (message.type) {
      case "answer":
        this.#answered(message);
        break;
      case "restarted":
        this.#restarts.get(message.id)?.resolve(message.fragment);
        this.#restarts.delete(message.id);
        break;
      case "pong":
        if (this.#pings.length) this.#roundTrip.measured(performance.now() - this.#pings.shift());
        break;
      case "attached":
        this.#checked(message.session, true);
        if (this.#attaching.delete(message.session)) this.#listeners.get(message.session)?.attached();
        break;
      case "close":
        this.#ended(message.session, message.reason);
        break;
      case "renew":
        this.#listeners.get(message.session)?.renew();
        break;
      case "camera":
        for (const listener of this.#listeners.values()) {
          if (listener.camera === message.camera) listener.cameraState(message);
        }
        this.dispatchEvent(new CustomEvent("camera", { detail: message }));
        break;
      case "ice_servers":
        keepIceServers(this.#base, message.servers);
        break;
      case "cameras":
      case "removed":
        this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
        break;
      case "error":
        if (message.code === "rate_limited") this.#pings = []; // it may be a ping that gets no pong
        this.#refused(message);
        break;
    }
  }

  #answered({ id, session, sdp }) {
    const offer = this.#offers.get(id);
    if (!offer) {
      this.#send({ type: "close", session }); // nobody waits for it any more
      return;
    }
    this.#offers.delete(id);
    this.#listeners.set(session, offer.listener);
    offer.resolve({ session, sdp });
  }

  #refused({ id, session, code, message }) {
    if (this.#restarts.has(id)) {
      this.#restarts.get(id).reject(refusal(code, message));
      this.#restarts.delete(id);
    }
    if (this.#offers.has(id)) {
      this.#offers.get(id).reject(refusal(code, message));
      this.#offers.delete(id);
    } else if (code === "unknown_session" && session) {
      this.#checked(session, false);
      this.#ended(session, code);
    } else if (session) {
      this.#checked(session, undefined);
    }
  }

  #checked(session, known) {
    this.#checks.get(session)?.settle(known);
    this.#checks.delete(session);
  }

  #ended(session, reason) {
    const listener = this.#listeners.get(session);
    this.#listeners.delete(session);
    listener?.closed(reason);
  }
}
