// The round trip to the server, and how long to wait for an answer by it (RFC 6298 2): by satellite it is 700 ms, and a
// connection on which nothing is heard for half a second is none that is dead.

const LONGEST = 4000; // ms: a server that takes longer is asked anew by all that wait for it

export class RoundTrip {
  #smoothed = 0; // ms; 0: not measured yet
  #deviation = 0;
  #anew = true; // the next measurement counts alone

  /** The way to the server is perhaps another. What was measured holds until something else is. */
  renew() {
    this.#anew = true;
  }

  /** An answer took so many ms. */
  measured(ms) {
    if (this.#anew) {
      this.#smoothed = ms;
      this.#deviation = ms / 2;
    } else {
      this.#deviation += (Math.abs(this.#smoothed - ms) - this.#deviation) / 4;
      this.#smoothed += (ms - this.#smoothed) / 8;
    }
    this.#anew = false;
  }

  /** The ms in which an answer comes if one does: `least`, or more where the way is long. */
  within(least) {
    return Math.max(least, Math.min(this.#smoothed + 4 * this.#deviation, LONGEST));
  }
}
