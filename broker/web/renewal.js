// Makes a player's new session before it leaves the old one, whose server process is about to end, or whose connection by
// the page's own port may be dead: the picture goes over when the new one has caught up with the camera, within the very
// stream that the video element shows, so that it is never black and begins nowhere anew.

import { connectionStateOf, progressOf } from "./browser.js";

const WITHIN = 6000; // ms; then it is given up, and the server asks again
const LOOK_INTERVAL = 60; // ms; a browser keeps its statistics for 50
const ALMOST = 2; // pictures received and not decoded yet: the first second's come at once, and are in the past
const LOOKS = 2; // in a row, by which that has to be so

export class Renewal {
  next;
  #player;
  #timer = 0;
  #until = performance.now() + WITHIN;
  #looks = 0;

  /** `next` is a session that has not begun. `player` is told over(next) or failed(next, error), and says whether it is playing(). */
  constructor(next, video, player) {
    this.next = next;
    this.#player = player;
    const look = async () => {
      const ready = await this.#ready(video);
      if (!this.#timer) return;
      if (ready) this.finish();
      else if (ready === null || performance.now() > this.#until) this.#end(player.failed);
      else this.#timer = setTimeout(look, LOOK_INTERVAL);
    };
    this.#timer = setTimeout(look, LOOK_INTERVAL);
    next.start().catch((error) => {
      if (this.#timer) this.#end((session) => player.failed(session, error));
      else player.failed(next, error); // it was needed before it was ready
    });
  }

  /** Go over now, ready or not. */
  finish() {
    this.#end(this.#player.over);
  }

  /** Stay. */
  cancel() {
    this.#end(() => this.next.close());
  }

  #end(act) {
    if (!this.#timer) return;
    clearTimeout(this.#timer);
    this.#timer = 0;
    act(this.next);
  }

  /** Whether it may go over; null if that will never be. */
  async #ready(video) {
    const { pc, picture, way, comes } = this.next;
    if (way === "websocket") return comes;
    if (pc === null || picture === null) return false; // no answer yet
    const state = connectionStateOf(pc);
    if (state === "failed" || state === "closed") return null;
    if (state !== "connected") return false;
    if (!this.#player.playing()) return true; // there is nothing to be lost
    const { frames, received, bytes } = await progressOf(pc, video);
    const caughtUp = picture && !document.hidden ? frames > 0 && received - frames <= ALMOST : bytes > 0;
    this.#looks = caughtUp ? this.#looks + 1 : 0;
    return this.#looks >= LOOKS;
  }
}
