// A player's session as its server knows it, whatever carries its media: WebRTC (session.js) or the page's own port (mse.js).
// It never tries again; its player does.

export class ServedSession {
  id = null; // its name at the server
  summary = null; // how the camera is: what the server said last
  picture = null; // whether there will be one; null before that is known
  over = false;
  #told = 0; // height
  #wish;

  /**
   * `wish` is a function that gives {stream, height}. `player` is told of marked(name), connected(state), media(),
   * closed(reason), renew() and cameraState(summary before).
   */
  constructor(signalling, camera, wish, player) {
    this.signalling = signalling;
    this.camera = camera;
    this.#wish = wish;
    this.player = player;
  }

  /** The wish to begin with. */
  wished() {
    const wish = this.#wish();
    this.#told = wish.height;
    return wish;
  }

  /** The picture stands on the screen with another height. */
  resized() {
    const wish = this.#wish();
    if (this.id === null || this.over || !wish.height || wish.height === this.#told) return;
    this.#told = wish.height;
    this.signalling.show(this.id, wish);
  }

  /** There is another connection to the server, which perhaps knows nothing of what it was told before. */
  attached() {
    this.#told = 0;
    this.resized();
  }

  /** Whether the server still knows it; also has the camera's state told. `undefined`: it cannot be asked. */
  async check() {
    return this.id === null || this.over ? undefined : this.signalling.check(this.id);
  }

  /** Nothing comes: a promise of whether the connection to the server was dead, too, and is made anew. */
  doubt() {
    return this.signalling.doubt(() => this.suspect());
  }

  /** It may be dead; that is found out now. */
  suspect() {}

  /** The server says that it is over. */
  closed(reason) {
    if (this.over) return;
    this.end();
    this.player.closed(reason);
  }

  /** The server says how the camera is. */
  cameraState(summary) {
    const before = this.summary;
    this.summary = summary;
    if (!this.over) this.player.cameraState(before);
  }

  /** End it here. */
  end() {
    this.over = true;
  }
}
