// How slowly a camera sends its pictures: one of a time-lapse has not stopped between two of them.

const PACES = 2.5; // times between two pictures without one, and it has
const SLOWEST = 40000; // ms between two pictures, as the server bears it

export class Pace {
  #seenAt = 0; // ms, when pictures last came …
  #gap = 0; // … how long after those before …
  #pace = 0; // … and the ms that this camera takes for one: one long gap is a stall, and two are its pace

  /** Pictures have come. */
  pictured(now) {
    const gap = now - this.#seenAt;
    this.#pace = Math.min(gap, this.#gap, SLOWEST);
    this.#gap = gap;
    this.#seenAt = now;
  }

  /** The ms without a picture after which there is none to wait for: `least`, or more where few are sent. */
  within(least, pauses = 1) {
    return Math.max(least, PACES * pauses * this.#pace);
  }
}
