// How a player reaches the server: over the page's one WebSocket (socket.js), or by WHEP (whep.js). Both have the same
// methods:
//
//   open(camera, sdp, listener, wish)   -> {session, sdp}; throws SignallingError
//   adopt(name, listener)         -> the session that was made otherwise, and has this name at the server
//   show(session, wish)              the picture stands on the screen with another height than the wish had
//   trickle(session, candidate)      an RTCIceCandidate, or null when there are no more
//   restart(session, fragment)    -> the server's side of an ICE restart, a fragment of SDP; throws SignallingError
//   doubt(suspect)                -> whether the connection to the server was dead; then it is made anew. suspect() is called
//                                    when it has been silent for long enough that it may be
//   check(session)                -> false if the server does not know the session any more, true if it does,
//                                    undefined if the server cannot be asked now
//   report(session, fields)          what the browser has tried and got, where no picture comes (report.js)
//   close(session)                   may return a promise, for when the server has heard of it
//
// A wish is {stream, height}: "main", "sub" or "auto", and pixels of the screen, 0 where that is not known.
//
// The listener of a session has its `camera`'s name, closed(reason), renew() (the session will end soon), attached() (which asks the server anew what it knows), and
// cameraState({state, sentence, detail, failed, video, sound, for_all}).

import { below } from "./address.js";
import { fetchWithin } from "./browser.js";
import { NOT_OURS, UNREACHABLE } from "./words.js";

export const REQUEST_TIMEOUT = 8000; // ms; the server gives an egress 5 s to answer
const ARRIVAL_TIMEOUT = 1000; // ms, after a request that got no answer

/** Why the server refused. `permanent`: trying again without a change of something is of no use. */
export class SignallingError extends Error {
  constructor(code, message, permanent = false) {
    super(message);
    this.name = "SignallingError";
    this.code = code;
    this.permanent = permanent;
  }
}

const PERMANENT = new Set([
  "malformed_sdp",
  "not_webrtc",
  "plan_b",
  "no_usable_codec",
  "unknown_camera",
  "unknown_stream",
  "invalid_stream",
  "not_signed_in",
  "not_allowed",
  "invalid_token",
  "expired_token",
]);

/** The server's refusal as an error. */
export function refusal(code, message) {
  return new SignallingError(code, message, PERMANENT.has(code));
}

/**
 * How a request arrives at the server at `base`, as that says: an object, or null where no answer comes, or none that
 * tells anything. Throws SignallingError where something else answers in its place, such as a page to sign in at.
 */
export async function arrivalAt(base, ms) {
  let response;
  try {
    response = await fetchWithin(ms, below(base, "api/arrival"), { cache: "no-store", redirect: "manual" });
  } catch {
    return null;
  }
  if (response.type !== "opaqueredirect") {
    const arrival = await response.json().catch(() => null);
    if (arrival !== null) return response.ok ? arrival : null; // else refused by a limit of the server's
    if (response.status >= 500) return null; // by a proxy whose server is away
  }
  throw notOurs();
}

/** Why a request got no answer: nothing gets through, or something else answers. */
export async function unanswered(base) {
  const error = await arrivalAt(base, ARRIVAL_TIMEOUT).then(() => null, (found) => found);
  return error ?? new SignallingError("unreachable", UNREACHABLE);
}

export const notOurs = () => new SignallingError("not_ours", NOT_OURS);

const ICE_SERVERS_KEPT = 60_000; // ms
const ICE_SERVERS_GOOD = 600_000; // ms for which those that are being asked for anew are used yet: passwords run out
const iceServers = new Map(); // base to {servers, until}

/** The STUN and TURN servers that the server at `base` names (RFC 9725 4.6), for an RTCPeerConnection. */
export function iceServersOf(base) {
  const known = iceServers.get(base.href);
  if (known && performance.now() < known.until) return known.servers;
  const good = known && performance.now() < known.until + ICE_SERVERS_GOOD;
  const asked = { until: performance.now() + ICE_SERVERS_KEPT };
  asked.servers = fetchWithin(REQUEST_TIMEOUT, below(base, "whep/-"), { method: "OPTIONS" })
    .then(({ headers }) => parseLinks(headers.get("Link") ?? ""))
    .catch(() => ((asked.until = 0), known?.servers ?? []));
  iceServers.set(base.href, asked);
  return good ? known.servers : asked.servers; // those of some minutes ago now, the new ones next time
}

/** The server at `base` has told of them by itself. */
export function keepIceServers(base, servers) {
  iceServers.set(base.href, { servers, until: performance.now() + ICE_SERVERS_KEPT });
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
