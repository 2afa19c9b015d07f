// When a player tries again: at once if all was well so far, then ever more slowly.

import { jittered } from "./signalling.js";

const RETRY_FIRST = 100; // ms
const RETRY_LONGEST = 4000; // ms
const RETRY_PERMANENT = 10000; // ms after an error that only somebody's action can mend
const STEADY_AFTER = 5000; // ms of playing after which the next failure is a new one

export class Retrying {
  #start;
  #failures = 0; // in a row
  #timer = 0;
  #steadySince = 0;

  /** `start` makes a new session. */
  constructor(start) {
    this.#start = start;
  }

  /** The next failure is the first. */
  reset() {
    this.#failures = 0;
  }

  /** Try again; `slowly`: the reason is one that lasts. */
  later({ slowly = false } = {}) {
    const backOff = Math.min(RETRY_FIRST * 2 ** this.#failures, RETRY_LONGEST);
    this.#failures += 1;
    this.cancel();
    this.#timer = setTimeout(this.#start, jittered(slowly ? RETRY_PERMANENT : backOff));
  }

  /** Do not. */
  cancel() {
    clearTimeout(this.#timer);
  }

  /** The picture moves again, since `now` … */
  plays(now) {
    this.#steadySince = now;
  }

  /** … and still does. */
  goesOn(now) {
    if (now - this.#steadySince > STEADY_AFTER) this.#failures = 0;
  }
}
