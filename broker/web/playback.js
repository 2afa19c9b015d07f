// Keeps a video element playing. A live picture that stands says nothing true, so whatever pauses it (a call, a media
// key, headphones, a screen that goes dark, picture-in-picture or an iPhone's full screen that is closed) is answered by
// playing on. What is paused again at once is left to people: they get a button; so do they where the browser wants a
// click first. Sound is given up for the picture, never the other way round.

const INSISTS_WITHIN = 2000; // ms after our resuming: who pauses again so soon means it, or will not have it otherwise
const TRY_AGAIN_AFTER = 5000; // ms between attempts to resume without anybody there, as on a wall

export class Playback {
  #video;
  #player;
  #triedAt = -Infinity;
  #shown = null; // a MediaStream or a Media Source
  refused = false; // by the browser, which plays nothing by itself

  /** `player` is told of paused(), which stays until frames move again, and muted(): sound was taken away. */
  constructor(video, player) {
    this.#video = video;
    this.#player = player;
    video.addEventListener("pause", () => this.#onPause());
    video.addEventListener("leavepictureinpicture", () => this.#resumeNow());
    video.addEventListener("webkitendfullscreen", () => this.#resumeNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.#resumeNow());
  }

  /** Whether the picture stands although it could move. */
  get paused() {
    return this.#shown !== null && this.#video.paused;
  }

  /** Whether the video has been given another stream, or none, by somebody else: a script of the page, an extension. */
  get displaced() {
    return isStream(this.#shown) && this.#video.srcObject !== this.#shown;
  }

  /** Show again what it is to show. */
  restore() {
    const source = this.#shown;
    this.#shown = null;
    this.show(source);
  }

  /** Whether this is what it is to show … */
  shows(source) {
    return this.#shown === source;
  }

  /** … and that is not paused. */
  plays(source) {
    return this.shows(source) && !this.#video.paused;
  }

  /** Show a MediaStream or a Media Source from its beginning, or nothing. */
  show(source) {
    if (this.#shown === source) return;
    this.#shown = source;
    if (source === null || isStream(source)) {
      if (this.#video.src) {
        this.#video.removeAttribute("src");
        this.#video.load(); // or it would keep what it has
      }
      this.#video.srcObject = source;
    } else {
      this.#video.srcObject = null;
      const url = URL.createObjectURL(source);
      this.#video.src = url;
      source.addEventListener("sourceopen", () => URL.revokeObjectURL(url), { once: true });
    }
    if (source) this.play();
  }

  /** Play; somebody asks for it. */
  async play() {
    this.#triedAt = performance.now();
    try {
      await this.#video.play();
      this.refused = false;
    } catch (error) {
      if (error.name === "AbortError") return; // another stream or another pause came in between
      if (this.#video.muted) {
        this.refused = true;
        this.#player.paused();
      } else {
        this.#video.muted = true;
        this.#player.muted();
        await this.play();
      }
    }
  }

  /** Say that the picture stands, and play on if that was not tried just now. */
  resume() {
    this.#player.paused();
    if (this.#video.muted && performance.now() - this.#triedAt > TRY_AGAIN_AFTER) this.play();
  }

  #resumeNow() {
    if (this.paused) this.play();
  }

  #onPause() {
    if (!this.paused || this.#video.ended) return;
    if (performance.now() - this.#triedAt > INSISTS_WITHIN) this.play();
    else this.#player.paused();
  }
}

/** Whether that is a MediaStream, which a browser without WebRTC does not know. */
function isStream(source) {
  return typeof MediaStream === "function" && source instanceof MediaStream;
}
