// What the pages say to people. One sentence each: what is wrong, and what to do; never a browser's own error.

import { decodesByPlugIn, hasTransceivers, hasWebRtc, takes } from "./browser.js";

export const UNREACHABLE = "The server cannot be reached.";
export const NO_WEBRTC =
  "This browser has no WebRTC, which live video needs: turn it on in the browser's settings, or use another browser.";
export const NOT_UNDERSTOOD =
  "This browser and the server could not agree on a connection. The browser may be too old, or WebRTC may be off.";
export const NO_WAY =
  "No media gets through to this browser, and neither does a WebSocket through this page's own port. A proxy in between " +
  "has to pass on Upgrade and Connection, or this browser has no Media Source Extensions.";
export const NOT_OURS =
  "Something in front of Camshaft answers instead of it, perhaps a proxy that wants you to sign in again: reload this page.";
export const NO_LOCATION =
  "The proxy in front of Camshaft removes the Location header from its answers, so this page cannot end what it begins: " +
  "the proxy has to pass that header on.";
export const ONLY_SOUND = "The camera sends sound but no picture.";

export const NO_SERVER = 'Say which server this camera is at: <camshaft-player server="ADDRESS">.';
export const PAUSED = "Paused by this browser or phone: press the button to continue.";
export const NO_AUTOPLAY =
  "This browser does not start video by itself, as phones do to save power: press the button to play it.";
export const CLOSED = "An operator closed this session.";
export const UNDECODED =
  "The picture arrives, but this browser cannot decode it: set the camera to a smaller picture or the Baseline profile, " +
  "or use another browser.";

const TOO_OLD = "This browser is too old for live video: use a newer one.";
const OTHER_H264 =
  "The camera sends a kind of H.264 that this browser cannot play: set the camera to the Main or Baseline profile, " +
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
    return `The camera sends ${sent}, but this browser cannot play it: use another one, such as Chrome, Edge or Safari.`;
  }
  return (
    `The camera sends ${sent}, but this Firefox cannot play it yet: turn on “OpenH264 Video Codec” under ` +
    "about:addons, Plugins (Firefox downloads it once), or use another browser."
  );
}

/** Why this browser has no picture of a camera that plays, by what is known before it tries; empty if it may have one. */
export function untakable({ video, for_all: forAll }) {
  return forAll === false && video && !takes(video) ? unconverted(nameOf(video)) : "";
}

const nameOf = (codec) => codec.replace(/^H26/, "H.26");

function unconverted(codec) {
  return (
    `The camera sends ${codec}, which this browser cannot play, and nothing converts it: ` +
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
      return reason ? `${reason} Trying again.` : "Reconnecting.";
    case "waiting":
      return summary.sentence;
    case "stalled":
      return hindrance(summary) || (undecoded && UNDECODED) || "The picture has stopped. Looking for the reason.";
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
  if (refused) return `${refused} Until then this page works without a WebSocket.`;
  if (host.toLowerCase() === location.host) {
    return (
      "WebSockets do not get through to Camshaft, so this page works without them. A proxy in between has to pass on " +
      `Upgrade and Connection (nginx: ${NGINX_UPGRADE}).`
    );
  }
  const told = forwarded ? ` (and ${forwarded} only in X-Forwarded-Host)` : "";
  return (
    `The proxy in front of Camshaft asks it for ${host} instead of ${location.host}${told}, so WebSockets and changes ` +
    `are refused. It has to pass on Host, Upgrade and Connection (nginx: proxy_set_header Host $http_host; ` +
    `${NGINX_UPGRADE}), or you add ${location.hostname} to http.hosts.`
  );
}
