// What is known of the pictures that come, and how long to wait where none does. It decides by numbers and by the time that
// it is told (ms, as of performance.now()); it asks nobody and shows nothing.

import { Pace } from "./pace.js";

const STALLED_AFTER = 1500; // ms without a frame
const GIVE_UP_AFTER = 8000; // ms without a frame although server and camera say that all is well
const CHECK_INTERVAL = 400; // ms between questions to the server while no frame comes
const SOUND_CHECK_INTERVAL = 3000; // ms between questions whether a camera that gives only sound has a picture again
const DARK_AFTER = 4000; // ms without a first picture, though WebRTC has connected and all else is well …
const LOST_AFTER = 1500; // … and where more is lost than comes: then no waiting helps
const UNSENT_AFTER = 12_000; // ms likewise where nothing at all has come: the camera may be one of a time-lapse
const LOST = 0.1; // share of packets lost that leaves no picture whole
const UNDECODED_AFTER = 4000; // ms without a picture although whole ones come
const ASLEEP_AFTER = 4000; // ms between two looks that must have been a frozen page, not a stalled stream
const NOTHING_SEEN = { frames: 0, bytes: 0, received: 0, lost: 0, packets: 0 };

export class Pictures {
  undecoded = false; // whole ones have come for so long without being shown that it must be this browser
  #seen = NOTHING_SEEN;
  #pace = new Pace();
  #arrives = false; // whether whole pictures came between the last two looks
  #lookedAt = 0; // when the statistics were last looked at
  #movedAt = 0; // when they last showed progress
  #connectedAt = Infinity;
  #askedAt = 0; // when the server was last asked
  #confirmed = false; // it knew the session, and its camera played, both since the picture stopped

  /** They may be of another camera from now on. */
  forget() {
    this.undecoded = false;
    this.#pace = new Pace();
  }

  /** Those of another session are awaited. */
  begin(now) {
    this.#seen = NOTHING_SEEN;
    this.#movedAt = this.#lookedAt = now;
    this.#connectedAt = Infinity;
    this.#confirmed = false;
  }

  /** WebRTC has connected. */
  connected(now) {
    this.#connectedAt = now;
  }

  /** Somebody looks. Returns whether nobody has for so long that the page was frozen: then nothing is known to have stalled. */
  looked(now) {
    const asleep = now - this.#lookedAt > ASLEEP_AFTER;
    this.#lookedAt = now;
    if (asleep) this.#movedAt = now;
    return asleep;
  }

  /** So much has come (see `progressOf`). Returns whether pictures, and anything at all, came since the last time. */
  count(sum, now, asleep) {
    const pictured = sum.frames > this.#seen.frames;
    const heard = sum.bytes > this.#seen.bytes;
    this.#arrives = sum.received > this.#seen.received;
    this.#seen = sum;
    if (pictured && !asleep) this.#pace.pictured(now);
    return { pictured, heard };
  }

  /** A picture has come. */
  moved(now) {
    this.#movedAt = now;
    this.#confirmed = this.undecoded = false;
  }

  /** Sound has, and there is a reason why no picture does. */
  heard(now) {
    this.#movedAt = now;
  }

  /** Whether the next one should have come. */
  overdue(now) {
    return now - this.#movedAt > this.#pace.within(STALLED_AFTER);
  }

  /** None has come for a while. */
  stalled(now) {
    this.undecoded = this.#arrives && now - this.#movedAt > UNDECODED_AFTER;
  }

  /** Whether none will come any more, by all that is known. */
  over(now) {
    return this.#confirmed && now - this.#movedAt > this.#pace.within(GIVE_UP_AFTER, 2);
  }

  /** Whether WebRTC has connected and none comes, because it does not arrive. */
  dark(now) {
    const { frames, received, lost, packets } = this.#seen;
    const arrives = received > 0 && lost < LOST * (lost + packets); // else it is the browser that cannot decode it
    const patience = lost > packets ? LOST_AFTER : packets ? DARK_AFTER : UNSENT_AFTER;
    return this.#confirmed && frames === 0 && !arrives && now - this.#connectedAt > patience;
  }

  /** Whether the server is to be asked again; `heard`: by one that comes with sound alone, as with WHEP nothing else tells. */
  questionable(now, { heard = false } = {}) {
    return now - this.#askedAt > (heard ? SOUND_CHECK_INTERVAL : CHECK_INTERVAL);
  }

  /** The server is asked. */
  asked(now) {
    this.#askedAt = now;
  }

  /** It knows the session, and the camera plays; or not. */
  confirm(confirmed) {
    this.#confirmed = confirmed;
  }
}
