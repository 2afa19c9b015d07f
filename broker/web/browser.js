// What this browser can do, and the older way where it cannot. The pages need Chrome 85, Firefox 90 or Safari 15, which
// is what their syntax asks for (fallback.js says so in anything older); whatever came later is tried for here, in one
// place, and never taken for granted. Of what a browser lacks altogether, words.js tells people.

const PLUG_IN = /Firefox\//; // Firefox decodes H.264 of WebRTC with a plug-in

/** Whether this browser has WebRTC: some are built without it, in some it can be switched off. */
export const hasWebRtc = () => typeof MediaStream === "function" && typeof RTCPeerConnection === "function";

/** Whether that is WebRTC 1.0; before Chrome 69 and Safari 12.1 it was something else. */
export const hasTransceivers = () => "addTransceiver" in RTCPeerConnection.prototype;

/** Whether H.264 comes by a plug-in that may be missing or off. */
export const decodesByPlugIn = () => PLUG_IN.test(navigator.userAgent);

/** fetch(), given up after `ms`. AbortSignal.timeout() is younger than many a tablet on a wall. */
export async function fetchWithin(ms, url, options = {}) {
  const control = typeof AbortController === "function" ? new AbortController() : null;
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer in ${ms} ms`));
      control?.abort();
    }, ms);
  });
  try {
    return await Promise.race([fetch(url, { ...options, signal: control?.signal }), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Let the connection make its offer and use it. Returns the offer's SDP. */
export async function makeOffer(pc) {
  try {
    await pc.setLocalDescription();
  } catch {
    await pc.setLocalDescription(await pc.createOffer()); // before Safari 14.1 and Chrome 80
  }
  return pc.localDescription.sdp;
}

/** The same with other ICE credentials than before: an ICE restart. */
export async function makeRestartOffer(pc) {
  await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
  return pc.localDescription.sdp;
}

/** Have `changed(state)` called with the connection's state: Firefox has had one of its own for it only since 113. */
export function followConnection(pc, changed) {
  if (pc.connectionState !== undefined) {
    pc.onconnectionstatechange = () => changed(pc.connectionState);
  } else {
    pc.oniceconnectionstatechange = () => changed(connectionStateOf(pc));
  }
}

/** connectionState, or what comes closest to it. */
export function connectionStateOf(pc) {
  if (pc.connectionState !== undefined) return pc.connectionState;
  const state = pc.iceConnectionState;
  return state === "completed" ? "connected" : state === "checking" ? "connecting" : state;
}

/** Whether this browser decodes that codec of pictures by WebRTC; one that does not tell may. */
export function takes(codec) {
  const known = globalThis.RTCRtpReceiver?.getCapabilities?.("video")?.codecs;
  return !known || known.some(({ mimeType }) => mimeType.toLowerCase() === `video/${codec.toLowerCase()}`);
}

/** Whether an SDP names this codec. */
export const names = (sdp, codec) => new RegExp(`^a=rtpmap:\\d+ ${codec}/`, "im").test(sdp);

/** Whether an answer carries media of this kind: a section of its own that is neither rejected nor inactive. */
export function carries(sdp, kind) {
  const sections = sdp.split(/^(?=m=)/m).slice(1);
  return sections.some(
    (section) => section.startsWith(`m=${kind} `) && !/^m=\w+ 0 /.test(section) && !/^a=inactive\r?$/m.test(section),
  );
}

/**
 * How far media has come on this connection, in numbers that only grow: pictures decoded, pictures received whole, their
 * packets that came and that were lost, and bytes of all media. `video`: whether there is any of that. `arrived` are bytes of anything, and change whenever something comes;
 * `arrivedAt` is when the last came, as performance.now() has it, or undefined. `beats`: something comes each second, also
 * where the camera sends nothing.
 */
export async function progressOf(pc, video) {
  const pictures = { video: false, frames: 0, received: 0, packets: 0, lost: 0 };
  const sum = { ...pictures, bytes: 0, arrived: 0, arrivedAt: undefined, beats: true };
  const add = (entry) => {
    if (entry.type === "candidate-pair") {
      sum.arrived += entry.bytesReceived ?? 0;
      const at = entry.lastPacketReceivedTimestamp - performance.timeOrigin;
      if (!(at <= sum.arrivedAt) && at > 0) sum.arrivedAt = at;
    }
    if (entry.type !== "inbound-rtp" || entry.isRemote) return;
    sum.bytes += entry.bytesReceived ?? 0;
    if ((entry.kind ?? entry.mediaType) !== "video") return;
    sum.video = true;
    sum.received += entry.framesReceived ?? 0;
    sum.lost += Math.max(0, entry.packetsLost ?? 0);
    sum.packets += entry.packetsReceived ?? 0;
    sum.frames += entry.framesDecoded ?? framesShown(video);
  };
  try {
    (await pc.getStats()).forEach(add);
  } catch {
    sum.frames = sum.bytes = framesShown(video);
    sum.video = true;
  }
  return sum;
}

function framesShown(video) {
  const counted = video.getVideoPlaybackQuality?.().totalVideoFrames ?? video.webkitDecodedFrameCount;
  return counted || Math.round(video.currentTime * 1000);
}

/** The function that fills the screen with `element`, or empties it again; null where nothing can. */
export function fullScreenOf(element, video) {
  const page = /** @type {any} */ (document); // with the names of older Safaris
  const shown = () => page.fullscreenElement ?? page.webkitFullscreenElement ?? null;
  const leave = () => (page.exitFullscreen ?? page.webkitExitFullscreen).call(page);
  const toggle = (enter) => () => attempt(() => (shown() ? leave() : enter()));
  if (element.requestFullscreen && document.fullscreenEnabled) return toggle(() => element.requestFullscreen());
  // An iPhone fills its screen with videos alone, and has controls of its own there.
  if (video.webkitEnterFullscreen) return () => attempt(() => video.webkitEnterFullscreen());
  if (element.webkitRequestFullscreen) return toggle(() => element.webkitRequestFullscreen());
  return null;
}

/** Do what a browser may refuse at any time, such as in a frame, and leave everything as it is then. */
async function attempt(act) {
  try {
    await act();
  } catch (error) {
    console.info("Camshaft: the browser refuses full screen:", error);
  }
}

/** Open a dialog, where <dialog> is not known as an element like any other. */
export function openDialog(dialog) {
  if (dialog.showModal) dialog.showModal();
  else dialog.setAttribute("open", "");
}

/** Close it. */
export function closeDialog(dialog) {
  if (dialog.close) dialog.close();
  else dialog.removeAttribute("open");
}
