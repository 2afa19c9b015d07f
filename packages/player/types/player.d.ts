/** What `<camshaft-player>` is to a program. Importing the package defines the element. */

/**
 * `playing`: pictures move. `soundonly`: the camera gives no picture, and a sentence says why. `paused`: by browser or
 * phone. `waiting`: for the camera.
 */
export type PlayerState =
  | "idle"
  | "connecting"
  | "playing"
  | "soundonly"
  | "paused"
  | "stalled"
  | "waiting"
  | "retrying"
  | "failed";

/** `ws` goes over to WHEP where WebSockets do not get through. */
export type Signalling = "ws" | "whep";

/** `auto` is what suits the size of the picture. */
export type CameraStream = "main" | "sub" | "auto";

export interface PlayerEventMap {
  playing: CustomEvent<Record<string, never>>;
  stalled: CustomEvent<Record<string, never>>;
  /** It has gone over to another session, whose picture was there before it left the old one. */
  renewed: CustomEvent<Record<string, never>>;
  closed: CustomEvent<{ reason: string }>;
  error: CustomEvent<{ code: string; message: string }>;
  statechange: CustomEvent<{ state: PlayerState }>;
}

/** Attributes, and properties of the same names. */
export interface PlayerAttributes {
  /** Its name at the server. */
  camera?: string | null;
  /** Address of the server; without it that which the script comes from. */
  server?: string | null;
  /** Is shown to the server. As a property it stands nowhere in the page. */
  token?: string | null;
  stream?: CameraStream | null;
  /** By default `ws` on pages of the server, and `whep` on others. */
  signalling?: Signalling | null;
  /** Connect as soon as the camera is named. */
  autoconnect?: boolean;
  /** Address of a picture that stands there before the camera's first one, as of `<video>`. */
  poster?: string | null;
}

/** Numbers about the picture, with the names of `getStats()`. */
export interface PlayerStatistics {
  state: PlayerState;
  camera: string | null;
  session: string | null;
  /** How media comes: by WebRTC, or where that does not get through by a WebSocket of the page's own port; empty without a session. */
  way: "webrtc" | "websocket" | "";
  video?: Record<string, unknown>;
  audio?: Record<string, unknown>;
  transport?: Record<string, unknown>;
  roundTripTime?: number;
}

export class CamshaftPlayer extends HTMLElement implements PlayerAttributes {
  camera: string | null;
  server: string | null;
  get token(): string | null;
  set token(value: string | null | undefined);
  stream: CameraStream | null;
  signalling: Signalling | null;
  autoconnect: boolean;
  poster: string | null;

  readonly state: PlayerState;
  readonly video: HTMLVideoElement;
  readonly pc: RTCPeerConnection | null;
  /** The session's id, or with WHEP its address; null while there is none. */
  readonly session: string | null;
  /** Why this browser can show no camera at all; empty if it can. */
  readonly unable: string;
  /** Milliseconds after connect(): offered, answered, connected, firstFrame. */
  readonly timing: Partial<Record<"offered" | "answered" | "connected" | "firstFrame", number>>;

  /** Show the camera, and keep showing it until disconnect(). */
  connect(): void;
  disconnect(): void;
  stats(): Promise<PlayerStatistics>;

  addEventListener<K extends keyof PlayerEventMap>(
    type: K,
    listener: (this: CamshaftPlayer, event: PlayerEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener<K extends Exclude<keyof HTMLElementEventMap, keyof PlayerEventMap>>(
    type: K,
    listener: (this: CamshaftPlayer, event: HTMLElementEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "camshaft-player": CamshaftPlayer;
  }
}
