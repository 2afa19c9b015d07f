// /watch/{camera}: one camera, from edge to edge.

import "./player.js";

const camera = decodeURIComponent(location.pathname.split("/").pop());
const player = /** @type {import("./player.js").CamshaftPlayer} */ (document.getElementById("player"));
document.title = `${camera} · Camshaft`;
document.getElementById("name").textContent = camera;
player.setAttribute("camera", camera);
for (const [name, value] of new URLSearchParams(location.search)) {
  if (name === "stream" || name === "signalling") player.setAttribute(name, value);
}
player.connect();
document.getElementById("broken").remove(); // the page has started
