// /watch/{camera}: one camera, from edge to edge.

import "./player.js";

const camera = decodeURIComponent(location.pathname.split("/").pop());
const player = /** @type {import("./player.js").CamshaftPlayer} */ (document.getElementById("player"));
document.title = `${camera} · Camshaft`;
document.getElementById("name").textContent = camera;
player.setAttribute("camera", camera);
if (new URLSearchParams(location.search).get("signalling") === "whep") player.setAttribute("signalling", "whep");
player.connect();
document.getElementById("broken").remove(); // the page has started
