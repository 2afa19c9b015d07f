// What the pages say to people. One sentence each: what is wrong, and what to do; never a browser's own error.

import { decodesByPlugIn, hasTransceivers, hasWebRtc, takes } from "./browser.js";

export const UNREACHABLE = "The server cannot be reached.";
export const NO_WEBRTC =
  "This browser has no WebRTC, which live pictures need: switch it on in the browser's settings, or use another browser.";
export const NOT_UNDERSTOOD =
  "This browser could not agree with the server on a connection: it may be too old, or have WebRTC switched off.";
export const NO_WAY =
  "Media does not get through to this browser, and neither does a WebSocket that would carry it through this page's own " +
  "port: a proxy in between has to pass on Upgrade and Connection, or this browser has no Media Source Extensions.";
export const NOT_OURS =
  "Something in front of Camshaft answers in its place, as a proxy does that wants you to sign in again: load this page anew.";
export const NO_LOCATION =
  "The proxy in front of Camshaft takes the header Location out of its answers, without which this page cannot end what " +
  "it begins: it has to pass that on.";
export const ONLY_SOUND = "The camera sends sound, and no picture.";

export const NO_SERVER = 'Say which server this camera is at: <camshaft-player server="ADDRESS">.';
export const PAUSED = "Paused by this browser or phone: press the button to go on.";
export const NO_AUTOPLAY =
  "This browser starts no picture by itself, as phones do that save power: press the button to see it.";
export const CLOSED = "An operator has closed this session.";
export const UNDECODED =
  "The picture arrives, and this browser cannot decode it: set the camera to a smaller picture or the profile Baseline, " +
  "or use another browser.";

const TOO_OLD = "This browser is too old for live pictures: use a newer one.";
const OTHER_H264 =
  "The camera sends a kind of H.264 that this browser cannot play: set the camera to the profile Main or Baseline, " +
  "or use another browser.";

const NGINX_UPGRADE =
  'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"';

/** The server has a sentence for each of its refusals: one without is not its. */
export const refusedBefore = (status) =>
  `Something in front of Camshaft, such as a proxy, refused the request (status ${status}).`;

/** Why this browser will never show a camera; empty if it may. */
export function unable() {
  if (!hasWebRtc()) return NO_WEBRTC;
  return hasTransceivers() ? "" : TOO_OLD;
}

/** Why there is no picture in a session whose sound may play; empty if there is no reason against one. */
export function noPicture({ summary, picture, takesH264 }) {
  if (summary === null) return "";
  if (summary.state === "no_picture") return summary.sentence;
  if (summary.state !== "playing" || picture !== false) return "";
  if (!summary.video) return ONLY_SOUND;
  const codec = nameOf(summary.video);
  if (!takesH264) return withoutH264(summary.video === "H264" ? codec : `${codec}, which is converted to H.264`);
  return summary.video === "H264" ? OTHER_H264 : unconverted(codec);
}

/** For a browser that takes none: whatever is converted is H.264, too. */
function withoutH264(sent) {
  if (!decodesByPlugIn()) {
    return `The camera sends ${sent}, and this browser cannot play it: use another one, such as Chrome, Edge or Safari.`;
  }
  return (
    `The camera sends ${sent}, and this Firefox cannot play it yet: switch on “OpenH264 Video Codec” under ` +
    "about:addons, Plugins (Firefox fetches it from the internet once), or use another browser."
  );
}

/** Why this browser has no picture of a camera that plays, by what is known before it tries; empty if it may have one. */
export function untakable({ video, for_all: forAll }) {
  return forAll === false && video && !takes(video) ? unconverted(nameOf(video)) : "";
}

const nameOf = (codec) => codec.replace(/^H26/, "H.26");

function unconverted(codec) {
  return (
    `The camera sends ${codec}, which this browser cannot play as it comes, and nothing converts it: ` +
    "start a transcode process (camshaft transcode), or use another browser."
  );
}

/**
 * What stands over the picture of a player in this `state`; `reason` is that of its last failure, `undecoded` and
 * `refused`, which is playing, are facts.
 */
export function message(state, session, reason, undecoded, refused) {
  const summary = session?.summary ?? null;
  switch (state) {
    case "idle":
      return unable();
    case "playing":
      return "";
    case "paused":
      return refused ? NO_AUTOPLAY : PAUSED;
    case "soundonly":
      return noPicture(session);
    case "failed":
      return reason;
    case "retrying":
      return reason ? `${reason} Trying again.` : "Connecting again.";
    case "waiting":
      return summary.sentence;
    case "stalled":
      return hindrance(summary) || (undecoded && UNDECODED) || "The picture has stopped; looking for the reason.";
    default:
      if (summary && summary.state !== "playing") return summary.sentence;
      return hindrance(summary) || (undecoded && UNDECODED) || (reason ? `${reason} Trying again.` : "Connecting.");
  }
}

/** What a camera that plays still lacks for a picture, such as its first keyframe. */
export function hindrance(summary) {
  if (!summary || summary.state !== "playing" || !summary.detail) return "";
  return `The camera is connected; ${summary.detail.replace(/\.$/, "")}.`;
}

/** Why WebSockets do not get through where requests do: a limit of the server, or what a proxy has to pass on. */
export function socketProblem({ host, forwarded_host: forwarded, refused }) {
  if (refused) return `${refused} Until then this page goes on without a WebSocket.`;
  if (host.toLowerCase() === location.host) {
    return (
      "WebSockets do not get through to Camshaft, so this page goes on without them; a proxy in between has to pass on " +
      `Upgrade and Connection (nginx: ${NGINX_UPGRADE}).`
    );
  }
  const told = forwarded ? ` (and ${forwarded} in X-Forwarded-Host alone)` : "";
  return (
    `The proxy in front of Camshaft asks it for ${host} and not for ${location.host}${told}, so WebSockets and changes ` +
    `are refused; it has to pass on Host, Upgrade and Connection (nginx: proxy_set_header Host $http_host; ` +
    `${NGINX_UPGRADE}), or ${location.hostname} has to stand in http.hosts.`
  );
}
