// Read by `make check` alone: what the types say is what the script has, and all of it.

import { CamshaftPlayer as Script } from "../../../broker/web/player.js";
import type { CamshaftPlayer as Types, PlayerAttributes } from "./player.js";

type Own<T> = Exclude<keyof T, keyof HTMLElement | "connectedCallback" | "disconnectedCallback" | "attributeChangedCallback">;

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;

export const names: Same<Own<Script>, Own<Types>> = true;
export const attributes: Same<keyof PlayerAttributes, Exclude<Own<Types>, Own<typeof methods>>> = true;
declare const methods: Pick<
  Types,
  "state" | "video" | "pc" | "session" | "unable" | "timing" | "connect" | "disconnect" | "stats"
>;

const element = document.createElement("camshaft-player");
element.addEventListener("statechange", ({ detail }) => detail.state === "playing");
element.token = null;
element.connect();
