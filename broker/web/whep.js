// Signalling by WHEP: one HTTP resource a session, nothing pushed; `check` tells how the camera is. It passes every proxy
// that passes the page.

import { below } from "./address.js";
import { fetchWithin } from "./browser.js";
import { RoundTrip } from "./round_trip.js";
import { REQUEST_TIMEOUT, SignallingError, notOurs, refusal, unanswered } from "./signalling.js";
import { NO_LOCATION, UNREACHABLE, refusedBefore } from "./words.js";

const DOUBT_TIMEOUT = 500; // ms for any answer, where media has stopped; more where the way is long
const SPARE_AFTER = 200; // ms of them after which a session is made beside that of which nothing comes
const TO_SIGN_IN = new Set([401, 403, 407]); // statuses of proxies that sign people in
const CLOSE_TIMEOUT = 1000; // ms
const RESTART_TIMEOUT = 2000; // ms; on another network the connection that there was may be dead

export class WhepSignalling {
  #base;
  #sessions = new Map(); // URL, which is the session to the player, to {tag, listener}
  #roundTrip = new RoundTrip();

  constructor(base) {
    this.#base = base;
  }

  async open(camera, sdp, listener, wish) {
    const path = `whep/${encodeURIComponent(camera)}`;
    const endpoint = below(this.#base, path);
    for (const [name, value] of Object.entries(wish)) endpoint.searchParams.set(name, value);
    const headers = { "Content-Type": "application/sdp" };
    const response = await this.#fetch(endpoint, { method: "POST", headers, body: sdp }).catch(async (error) => {
      throw error.code === "unreachable" ? await unanswered(this.#base) : error;
    });
    const [location, answer] = [response.headers.get("Location"), await response.text()];
    if (/^\s*</.test(answer)) throw notOurs(); // a page
    if (location === null) throw new SignallingError("no_location", NO_LOCATION, true);
    // By its name below our own address: a proxy that has the server below a path may not have changed the Location.
    const name = new URL(location, response.url).pathname.split("/").pop();
    const session = below(this.#base, `${path}/${name}`).href;
    this.#sessions.set(session, { tag: response.headers.get("ETag"), listener });
    return { session, sdp: answer };
  }

  adopt(name, listener) {
    // The name is an egress's word, and the address is one that we send DELETE to: it is to lead nowhere else.
    const path = `whep/${encodeURIComponent(listener.camera)}/${encodeURIComponent(name)}`;
    const session = below(this.#base, path).href;
    this.#sessions.set(session, { tag: null, listener });
    return session;
  }

  show() {} // there is no way to say it: the stream is chosen once

  report() {} // nor is there one to say this

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

  async doubt(suspect = () => {}) {
    const timer = setTimeout(suspect, SPARE_AFTER);
    try {
      const within = this.#roundTrip.within(DOUBT_TIMEOUT);
      await fetchWithin(within, below(this.#base, "whep/-"), { method: "OPTIONS", cache: "no-store" });
      return false;
    } catch {
      this.#roundTrip.renew();
      return true; // the browser has given up the connection that it kept, and makes one for the next request
    } finally {
      clearTimeout(timer);
    }
  }

  async restart(session, fragment) {
    const headers = { "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*" }; // RFC 9725 4.3.3
    const response = await this.#fetch(session, { method: "PATCH", headers, body: fragment }, RESTART_TIMEOUT);
    const known = this.#sessions.get(session);
    if (known) known.tag = response.headers.get("ETag");
    return response.text();
  }

  async check(session) {
    const { listener } = this.#sessions.get(session) ?? {};
    try {
      const id = new URL(session).pathname.split("/").pop();
      const response = await this.#fetch(below(this.#base, `api/viewers/${id}`), { cache: "no-store" });
      listener?.cameraState((await response.json()).camera);
      return true;
    } catch (error) {
      if (error.code !== "unknown_session") return undefined;
      this.#sessions.delete(session);
      listener?.closed(error.code);
      return false;
    }
  }

  async close(session) {
    this.#sessions.delete(session);
    const options = { method: "DELETE", keepalive: true };
    await fetchWithin(CLOSE_TIMEOUT, session, options).catch(() => {}); // if it is lost, ICE consent ends it
  }

  async #fetch(url, options, ms = REQUEST_TIMEOUT) {
    let response;
    const asked = performance.now();
    try {
      response = await fetchWithin(ms, url, options);
    } catch {
      throw new SignallingError("unreachable", UNREACHABLE);
    }
    if (options.method !== "POST") this.#roundTrip.measured(performance.now() - asked); // an offer may wait for its camera
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    if (!problem.code && TO_SIGN_IN.has(response.status)) throw notOurs();
    throw refusal(problem.code ?? "refused", problem.detail ?? refusedBefore(response.status));
  }
}
