// Puts the player's scripts into dist/: player.js of the server's pages and whatever it imports, as they are. npm runs it
// before it packs. The scripts have one home, broker/web, and dist/ is in no repository.

import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const WEB = new URL("../../broker/web/", import.meta.url);
const DIST = new URL("dist/", import.meta.url);
const IMPORT = /^(?:import|export)\b[^;]*?\bfrom "\.\/([\w-]+\.js)";|^import "\.\/([\w-]+\.js)";/gm;

const found = new Set(["player.js"]);
rmSync(DIST, { recursive: true, force: true });
mkdirSync(DIST);
for (const name of found) {
  const text = readFileSync(new URL(name, WEB), "utf8");
  for (const [, from, alone] of text.matchAll(IMPORT)) found.add(from ?? alone);
  writeFileSync(new URL(name, DIST), text);
}
copyFileSync(new URL("../../LICENSE", import.meta.url), new URL("LICENSE", import.meta.url));
console.error(`${found.size} scripts in ${fileURLToPath(DIST)}`);
