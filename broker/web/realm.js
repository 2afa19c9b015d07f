// Where peer connections are made. A page that may use camera or microphone gets from Chromium sockets that are bound to the
// addresses of the network that it knows, and of another network it learns one to four seconds late: until then nothing
// gets out, however often ICE is restarted. Sockets of a page that may not are bound to none, and find the way at once. So in a page
// that may, connections are made in a frame that may not. Their tracks can be shown anywhere in the page.

const RIGHTS = ["camera", "microphone"]; // either is enough
const PATIENCE = 500; // ms for the browser to say which it has: some that are told to keep quiet never do
let frame = null; // one for all connections of the page

/** A connection whose sockets are bound to no address, where that can be had. */
export async function makeConnection(configuration) {
  const bound = await mayCapture();
  return new (bound ? unbound() : RTCPeerConnection)(configuration);
}

async function mayCapture() {
  if (!(/** @type {any} */ (navigator).userAgentData)) return false; // not Chromium, or a page without a right to either
  try {
    const asked = Promise.all(RIGHTS.map((name) => navigator.permissions.query({ name: /** @type {any} */ (name) })));
    const silence = /** @type {Promise<PermissionStatus[]>} */ (new Promise((then) => setTimeout(then, PATIENCE, [])));
    const found = await Promise.race([asked, silence]);
    return found.some(({ state }) => state === "granted");
  } catch {
    return false; // it does not say
  }
}

function unbound() {
  if (!frame?.isConnected) {
    frame = document.createElement("iframe");
    frame.allow = RIGHTS.map((name) => `${name} 'none'`).join("; ");
    frame.hidden = true;
    document.documentElement.append(frame);
  }
  try {
    return frame.contentWindow?.RTCPeerConnection ?? RTCPeerConnection;
  } catch {
    return RTCPeerConnection; // the page is in a sandbox, and so each frame of it is a stranger to it
  }
}
