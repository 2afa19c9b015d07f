// How a player reaches the server: over the page's one WebSocket, or by WHEP. Both have the same methods:
//
//   open(camera, sdp, listener)   -> {session, sdp}; throws SignallingError
//   trickle(session, candidate)      an RTCIceCandidate, or null when there are no more
//   check(session)                -> false if the server does not know the session any more, true if it does,
//                                    undefined if the server cannot be asked now
//   close(session)
//
// The listener of a session has its `camera`'s name, closed(reason), and cameraState({state, sentence, detail, failed}).

const REQUEST_TIMEOUT = 8000; // ms; the server gives an egress 5 s to answer
const CONNECT_TIMEOUT = 5000; // ms
const CHECK_TIMEOUT = 4000; // ms; right after its start the server takes 2.5 s to say that it knows no session
const SESSIONS_STAY = 4000; // close code
const RECONNECT_FIRST = 200; // ms
const RECONNECT_LONGEST = 3000; // ms

/** Why the server refused. `permanent`: trying again without a change of something is of no use. */
export class SignallingError extends Error {
  constructor(code, message, permanent = false) {
    super(message);
    this.name = "SignallingError";
    this.code = code;
    this.permanent = permanent;
  }
}

const PERMANENT = new Set(["malformed_sdp", "not_webrtc", "no_usable_codec", "unknown_camera"]);

function refusal(code, message) {
  return new SignallingError(code, message, PERMANENT.has(code));
}

const ICE_SERVERS_KEPT = 60_000; // ms
const iceServers = new Map(); // base to {servers, until}

/** The STUN and TURN servers that the server at `base` names (RFC 9725 4.6), for an RTCPeerConnection. */
export function iceServersOf(base) {
  const known = iceServers.get(base.href);
  if (known && performance.now() < known.until) return known.servers;
  const asked = { until: performance.now() + ICE_SERVERS_KEPT };
  asked.servers = fetch(new URL("whep/-", base), { method: "OPTIONS", signal: AbortSignal.timeout(REQUEST_TIMEOUT) })
    .then(({ headers }) => parseLinks(headers.get("Link") ?? ""))
    .catch(() => ((asked.until = 0), known?.servers ?? []));
  iceServers.set(base.href, asked);
  return known?.servers ?? asked.servers; // those of a minute ago now, the new ones next time
}

function parseLinks(text) {
  return [...text.matchAll(/<([^>]*)>((?:\s*;\s*[\w-]+="(?:[^"\\]|\\.)*")*)/g)].map(([, urls, parameters]) => {
    const found = [...parameters.matchAll(/([\w-]+)="((?:[^"\\]|\\.)*)"/g)];
    const plain = found.map(([, name, value]) => [name, value.replace(/\\(.)/g, "$1")]);
    const { username, credential } = Object.fromEntries(plain);
    return username ? { urls, username, credential } : { urls };
  });
}

/** A random share of `ms` between a half and all of it, so that many pages do not come back at once. */
export function jittered(ms) {
  return ms * (0.5 + Math.random() / 2);
}

/**
 * The WebSocket. It reconnects by itself, and then attaches to its sessions again: media does not depend on it.
 * Dispatches `cameras`, `camera` and `removed` with the server's message as `detail`, and `online` / `offline`.
 */
export class SocketSignalling extends EventTarget {
  static #instances = new Map();

  /** The one socket to the server at `base` that all of this page shares. */
  static to(base) {
    const url = new URL("ws", base);
    url.protocol = url.protocol.replace("http", "ws");
    if (!this.#instances.has(url.href)) this.#instances.set(url.href, new SocketSignalling(url));
    return this.#instances.get(url.href);
  }

  online = false;
  #url;
  #socket = null;
  #subscribed = false;
  #listeners = new Map(); // session to listener
  #offers = new Map(); // id to {resolve, reject, listener}
  #checks = new Map(); // session to {promise, settle}
  #nextId = 1;
  #delay = RECONNECT_FIRST;
  #timer = 0;
  #waiting = false; // to connect again

  constructor(url) {
    super();
    this.#url = url;
    addEventListener("online", () => this.#reconnectNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.#reconnectNow());
    this.#connect();
  }

  /** Hear of all cameras, not only of those of open sessions. */
  subscribe() {
    this.#subscribed = true;
    this.#send({ type: "subscribe" });
  }

  async open(camera, sdp, listener) {
    await this.#opened();
    const id = this.#nextId++;
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#lost(socket), REQUEST_TIMEOUT);
      const settle = (settler) => (value) => (clearTimeout(timer), settler(value));
      this.#offers.set(id, { resolve: settle(resolve), reject: settle(reject), listener });
      this.#send({ type: "offer", camera, sdp, id });
    });
  }

  trickle(session, candidate) {
    const { candidate: text = "", sdpMid, sdpMLineIndex } = candidate ?? {};
    this.#send({ type: "candidate", session, candidate: text, sdpMid, sdpMLineIndex });
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

  close(session) {
    this.#listeners.delete(session);
    this.#send({ type: "close", session });
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#waiting = false;
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lost(socket), CONNECT_TIMEOUT);
    socket.onopen = () => {
      clearTimeout(this.#timer);
      this.online = true;
      this.#delay = RECONNECT_FIRST;
      for (const session of this.#listeners.keys()) this.#send({ type: "attach", session });
      if (this.#subscribed) this.#send({ type: "subscribe" });
      this.dispatchEvent(new Event("online"));
    };
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = () => this.#closed();
  }

  /** Nothing is heard from the server. A browser takes minutes to call such a connection closed. */
  #lost(socket) {
    if (socket !== this.#socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(SESSIONS_STAY); // should it be heard after all
    this.#closed();
  }

  #closed() {
    this.online = false;
    for (const { reject } of this.#offers.values()) {
      reject(new SignallingError("disconnected", "The connection to the server broke."));
    }
    for (const { settle } of this.#checks.values()) settle(undefined);
    this.#offers.clear();
    this.#checks.clear();
    this.dispatchEvent(new Event("offline"));
    clearTimeout(this.#timer);
    this.#waiting = true;
    this.#timer = setTimeout(() => this.#connect(), jittered(this.#delay));
    this.#delay = Math.min(this.#delay * 2, RECONNECT_LONGEST);
  }

  #reconnectNow() {
    if (this.#waiting) this.#connect();
  }

  #opened() {
    if (this.online) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.removeEventListener("online", opened);
        reject(new SignallingError("unreachable", "The server cannot be reached."));
      }, REQUEST_TIMEOUT);
      const opened = () => (clearTimeout(timer), resolve());
      this.addEventListener("online", opened, { once: true });
    });
  }

  #send(message) {
    if (this.#socket.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #receive(message) {
    switch (message.type) {
      case "answer":
        this.#answered(message);
        break;
      case "attached":
        this.#checked(message.session, true);
        break;
      case "close":
        this.#ended(message.session, message.reason);
        break;
      case "camera":
        for (const listener of this.#listeners.values()) {
          if (listener.camera === message.camera) listener.cameraState(message);
        }
        this.dispatchEvent(new CustomEvent("camera", { detail: message }));
        break;
      case "cameras":
      case "removed":
        this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
        break;
      case "error":
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

/** WHEP: one HTTP resource a session, nothing pushed; `check` tells how the camera is. */
export class WhepSignalling {
  #base;
  #sessions = new Map(); // URL, which is the session to the player, to {tag, listener}

  constructor(base) {
    this.#base = base;
  }

  async open(camera, sdp, listener) {
    const response = await this.#fetch(new URL(`whep/${encodeURIComponent(camera)}`, this.#base), {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: sdp,
    });
    const session = new URL(response.headers.get("Location"), response.url).href;
    this.#sessions.set(session, { tag: response.headers.get("ETag"), listener });
    return { session, sdp: await response.text() };
  }

  trickle(session, candidate) {
    const lines = candidate
      ? [`a=ice-ufrag:${candidate.usernameFragment}`, `a=mid:${candidate.sdpMid}`, `a=${candidate.candidate}`]
      : ["a=end-of-candidates"];
    const headers = {
      "Content-Type": "application/trickle-ice-sdpfrag",
      "If-Match": this.#sessions.get(session)?.tag ?? "",
    };
    const body = lines.join("\r\n") + "\r\n";
    this.#fetch(session, { method: "PATCH", headers, body }).catch(() => {}); // check() finds out what it means
  }

  async check(session) {
    const { listener } = this.#sessions.get(session) ?? {};
    try {
      const id = session.slice(session.lastIndexOf("/") + 1);
      const response = await this.#fetch(new URL(`api/viewers/${id}`, this.#base), { cache: "no-store" });
      listener?.cameraState((await response.json()).camera);
      return true;
    } catch (error) {
      if (error.code !== "unknown_session") return undefined;
      this.#sessions.delete(session);
      listener?.closed(error.code);
      return false;
    }
  }

  close(session) {
    this.#sessions.delete(session);
    fetch(session, { method: "DELETE", keepalive: true }).catch(() => {}); // if it is lost, ICE consent ends it
  }

  async #fetch(url, options) {
    let response;
    try {
      response = await fetch(url, { ...options, signal: AbortSignal.timeout(REQUEST_TIMEOUT) });
    } catch {
      throw new SignallingError("unreachable", "The server cannot be reached.");
    }
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    throw refusal(problem.code ?? "refused", problem.detail ?? `The server refused with status ${response.status}.`);
  }
}
