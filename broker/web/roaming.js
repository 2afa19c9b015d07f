// Follows a viewer from network to network: ICE is restarted in the session that it has, so that the picture goes on
// there. What tells of another network differs by browser, and none tells of all: the browser's own word, ICE that lost
// its way, a signalling connection that turns out to be dead, or that nothing at all arrives any more, not even the
// reports that the server sends each second, also where the camera sends nothing.

const DOUBT_AFTER = 500; // ms without anything: is the signalling connection dead, too?
const SILENT_AFTER = 1400; // ms without anything: reports come each second and a bit
const USUAL = 100; // ms between packets, or a little more, as long as all is well
const RESTART_FIRST = 2000; // ms between restarts; more where they do not help: it may be the server that has no time
const RESTART_LONGEST = 16_000; // ms

export class Roaming {
  #player;
  #triedAt = -Infinity;
  #pause = RESTART_FIRST;
  #arrived = 0; // bytes of anything
  #arrivedAt = 0;
  #doubted = false; // since it has become silent
  #timer = 0;
  #network = connection()?.type; // such as wifi or cellular; browsers of desktops do not tell
  #changed = () => this.restart();
  #told = () => this.#hearOf(connection().type);

  /**
   * `player` has restart(), which restarts ICE, if there is a session, and gives a promise of whether that was done; doubt(),
   * which gives one of whether the signalling connection was dead; and look(), which looks at the statistics.
   */
  constructor(player) {
    this.#player = player;
  }

  start() {
    addEventListener("online", this.#changed);
    connection()?.addEventListener?.("change", this.#told);
  }

  stop() {
    removeEventListener("online", this.#changed);
    connection()?.removeEventListener?.("change", this.#told);
    clearTimeout(this.#timer);
  }

  /** There is another session, of which nothing has arrived yet. */
  begin() {
    this.#arrived = 0;
    this.#heard();
  }

  /**
   * So many bytes have come so far, the last at `arrivedAt`, if the browser tells; `asleep`: nobody has looked for long.
   * Without `beats` silence proves nothing by itself: the camera may send a picture a second, or none.
   */
  looked({ arrived, arrivedAt, beats = true }, asleep) {
    clearTimeout(this.#timer);
    const now = performance.now();
    if (arrived !== this.#arrived) this.#heard();
    if (asleep) this.#arrivedAt = now;
    else if (arrived !== this.#arrived) this.#arrivedAt = arrivedAt ?? now;
    this.#arrived = arrived;
    const silent = now - this.#arrivedAt;
    if (arrived === 0 || silent < USUAL) return;
    if (silent > SILENT_AFTER && beats) this.restart();
    else if (silent > DOUBT_AFTER) this.#doubt();
    const next = [DOUBT_AFTER, SILENT_AFTER].find((after) => silent <= after);
    if (next) this.#timer = setTimeout(() => this.#player.look(), next - silent + 1);
  }

  /** Restart ICE, unless that was just tried. Gives a promise of whether it is under way. */
  async restart() {
    const now = performance.now();
    if (now - this.#triedAt < this.#pause) return true;
    this.#pause = Math.min(2 * this.#pause, RESTART_LONGEST);
    this.#triedAt = now;
    return this.#player.restart();
  }

  /** Something of the network is different; most often only what the browser thinks of its speed. */
  #hearOf(network) {
    if (network === this.#network || network === "none") return;
    this.#network = network;
    this.restart();
  }

  #heard() {
    this.#pause = RESTART_FIRST;
    this.#doubted = false;
  }

  async #doubt() {
    if (this.#doubted) return;
    this.#doubted = true;
    if (await this.#player.doubt()) this.restart();
  }
}

/** The Network Information API's object, where there is one. */
const connection = () => /** @type {any} */ (navigator).connection;
