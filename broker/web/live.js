// A Media Source that stays live: segments of fragmented MP4 go in as they come, and the picture keeps close to the newest.
// It plays faster when it is a little behind, and skips when it is more.

const PROBES = {
  H264: 'video/mp4; codecs="avc1.64001f"',
  H265: 'video/mp4; codecs="hvc1.1.6.L93.B0"',
  AAC: 'audio/mp4; codecs="mp4a.40.2"',
  opus: 'audio/mp4; codecs="opus"',
};
const TICK = 100; // ms
const CLOSE_TO_LIVE = 0.15; // s that are kept between the picture and the newest segment: a network's jitter
const FASTER_BEYOND = 0.4; // s
const SKIP_BEYOND = 0.9; // s
const FASTER = 1.1; // which nobody hears or sees
const PATIENCE = 700; // ms that the first of picture and sound waits for the other to begin
const SOUND_LOST_AFTER = 1.5; // s that sound may be behind the picture before that goes on without it
const KEPT = 10; // s behind the picture that stay in the browser's memory …
const KEEP = 4; // … and that are left when it is cleared
const MAX_QUEUE = 32 << 20; // bytes that wait for the browser: two groups of pictures as large as the server keeps

const page = /** @type {any} */ (window);
const MediaSourceOf = () => page.ManagedMediaSource ?? page.MediaSource; // an iPhone has the first alone

/** The codecs that this browser's Media Source takes, of those that we have. */
export const takenCodecs = () =>
  Object.keys(PROBES).filter((codec) => MediaSourceOf()?.isTypeSupported(PROBES[codec]) ?? false);

const typeOf = (kind, codec) => `${kind}/mp4; codecs="${codec}"`;

export class Live {
  source;
  #video;
  #kinds;
  #owner;
  #tracks = new Map(); // kind to {type, buffer, queue, joins}
  #origin; // Unix time, in seconds, of the source's 0 …
  #ahead = 0; // … and by how many seconds that of the segments that come is later
  #joined = false; // these go on with what another session brought, since now
  #queued = 0; // bytes
  #open = false;
  #since = 0; // when the first segment came
  #timer;
  #over = false;

  /**
   * `kinds` of media will come, with times since `origin`, if the server says that. `owner` is told restart(kinds) when all
   * of it is wanted anew, and failed().
   */
  constructor(video, kinds, origin, owner) {
    this.#origin = origin;
    this.#video = video;
    this.#kinds = kinds;
    this.#owner = owner;
    this.source = new (MediaSourceOf())();
    this.source.addEventListener("sourceopen", () => ((this.#open = true), this.#advance()), { once: true });
    this.#timer = setInterval(() => this.#tick(), TICK);
    if (page.ManagedMediaSource) video.disableRemotePlayback = true; // or an iPhone takes no such source
  }

  /** A track begins, or goes on as another codec, with this initialization segment. */
  begin(kind, codec, segment) {
    const type = typeOf(kind, codec);
    const track = this.#tracks.get(kind);
    if (track) {
      this.#enqueue(track, { type, segment, ahead: this.#ahead });
    } else if (this.#started) {
      this.#owner.restart([...this.#tracks.keys(), kind]); // no track can be added to what plays
    } else {
      const added = { type, buffer: null, queue: [], joins: false, joining: false };
      this.#tracks.set(kind, added);
      this.#enqueue(added, { type, segment, ahead: this.#ahead });
    }
  }

  /** The next segment of a track. */
  append(kind, segment) {
    const track = this.#tracks.get(kind);
    if (track) this.#enqueue(track, { type: null, segment });
  }

  /**
   * Take over from another that has not begun to play: what it has goes on here, where the picture stands meanwhile.
   * Returns whether that can be.
   */
  absorb(next) {
    const ahead = next.#origin - this.#origin;
    const kinds = next.#kinds; // of which some may begin later
    if (this.#over || this.#lost || !this.#started || !Number.isFinite(ahead)) return false;
    if (kinds.length !== this.#tracks.size || !kinds.every((kind) => this.#tracks.has(kind))) return false;
    this.#owner = next.#owner;
    this.#ahead = ahead;
    for (const [kind, track] of this.#tracks) {
      const { queue = [] } = next.#tracks.get(kind) ?? {}; // of what comes by the session before nothing is missed
      track.queue = queue.map((item) => ({ ...item, ahead }));
      track.joins = kind === "video";
    }
    this.#queued = next.#queued;
    next.close();
    this.#advance();
    return true;
  }

  /** Take nothing more. */
  close() {
    this.#over = true;
    clearInterval(this.#timer);
    this.#video.playbackRate = 1;
  }

  get #started() {
    return [...this.#tracks.values()].some(({ buffer }) => buffer !== null);
  }

  /** Whether the browser has closed it: a phone does that whose media service begins anew, and a script that takes the element. */
  get #lost() {
    return this.#open && this.source.readyState !== "open";
  }

  #enqueue(track, item) {
    if (this.#over) return;
    this.#since ||= performance.now();
    this.#queued += item.segment.length;
    track.queue.push(item);
    if (this.#queued > MAX_QUEUE) this.#fail();
    else this.#advance();
  }

  /** Give the browser what it can take now. */
  #advance() {
    if (this.#over || !this.#open) return;
    if (!this.#started) {
      const missing = this.#kinds.some((kind) => !this.#tracks.has(kind));
      if (!this.#tracks.size || (missing && performance.now() - this.#since < PATIENCE)) return;
      this.#attempt(() => {
        for (const track of this.#tracks.values()) {
          track.buffer = this.source.addSourceBuffer(track.type);
          track.buffer.addEventListener("updateend", () => (this.#appended(track), this.#advance()));
        }
      });
    }
    for (const track of this.#tracks.values()) this.#feed(track);
  }

  #feed(track) {
    if (track.buffer === null || track.buffer.updating || !track.queue.length || this.source.readyState !== "open") return;
    const { type, ahead } = track.queue[0];
    if (type !== null && !this.#attempt(() => this.#turn(track, type, ahead))) return;
    const next = track.queue.findIndex((item, at) => at > 0 && item.type !== null);
    const items = track.queue.splice(0, next < 0 ? track.queue.length : next);
    const whole = joined(items.map(({ segment }) => segment));
    this.#queued -= whole.length;
    track.joining = type !== null && track.joins;
    this.#attempt(() => track.buffer.appendBuffer(whole));
  }

  #appended(track) {
    if (track.joining) {
      this.#joined = true;
      track.joins = track.joining = false;
    }
    this.#stayLive();
  }

  /** An initialization segment comes: of another codec, or of times that begin elsewhere. */
  #turn(track, type, ahead) {
    if (type !== track.type) track.buffer.changeType(type);
    if (ahead !== track.buffer.timestampOffset) track.buffer.timestampOffset = ahead;
    track.type = type;
  }

  #tick() {
    if (this.#over) return;
    if (this.#video.error || this.#lost) {
      this.#fail();
      return;
    }
    this.#advance();
    if (!this.#open) return; // the picture is another's
    this.#stayLive();
    this.#clear();
  }

  /** Keep the picture close to the newest that can be shown. */
  #stayLive() {
    const { buffered, currentTime } = this.#video;
    if (this.#over || this.#lost || !buffered.length) return;
    const last = buffered.length - 1;
    const [start, end] = [buffered.start(last), buffered.end(last)];
    const behind = end - currentTime;
    // Where a group of pictures replaces another, a browser that is not led there waits for the next keyframe.
    if (currentTime < start || behind > SKIP_BEYOND || behind < -CLOSE_TO_LIVE || this.#joined) {
      this.#joined = false;
      this.#video.currentTime = Math.max(start, end - CLOSE_TO_LIVE);
      this.#video.playbackRate = 1;
    } else if (behind > FASTER_BEYOND) {
      this.#video.playbackRate = FASTER;
    } else if (behind < CLOSE_TO_LIVE) {
      this.#video.playbackRate = 1;
    }
    const [picture, sound] = ["video", "audio"].map((kind) => this.#tracks.get(kind));
    if (sound?.queue.length || sound?.buffer?.updating) return; // more of it is there already
    const later = endOf(picture?.buffer) - endOf(sound?.buffer);
    if (later > SOUND_LOST_AFTER) this.#owner.restart(["video"]); // sound stopped: the picture would wait
  }

  #clear() {
    const before = this.#video.currentTime - KEPT;
    for (const { buffer } of this.#tracks.values()) {
      if (buffer === null || buffer.updating || !buffer.buffered.length || buffer.buffered.start(0) > before) continue;
      this.#attempt(() => buffer.remove(0, this.#video.currentTime - KEEP));
    }
  }

  /** Do what the browser may refuse. Returns whether it did not. */
  #attempt(act) {
    try {
      act();
      return true;
    } catch (error) {
      console.warn("Camshaft: the browser refuses:", error);
      this.#fail();
      return false;
    }
  }

  #fail() {
    if (this.#over) return;
    this.close();
    this.#owner.failed();
  }
}

function endOf(buffer) {
  const ranges = buffer?.buffered;
  return ranges?.length ? ranges.end(ranges.length - 1) : NaN;
}

function joined(segments) {
  if (segments.length === 1) return segments[0];
  const whole = new Uint8Array(segments.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const segment of segments) {
    whole.set(segment, at);
    at += segment.length;
  }
  return whole;
}
