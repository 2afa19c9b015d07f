// What a player is made of: its style, its parts, its icons, and what its buttons for sound and size do.

// A page's policy allows this very text (broker/front/pages.py), for browsers that know no style sheets made by scripts.
const STYLE = `
  :host { display: block; position: relative; overflow: hidden; background: #000; color: #e8eaed;
          aspect-ratio: 16 / 9; font: 15px/1.4 system-ui, sans-serif; }
  :host([hidden]) { display: none; }
  video { width: 100%; height: 100%; object-fit: contain; display: block; }
  .message, .start { position: absolute; top: 0; right: 0; bottom: 0; left: 0; }
  .message { display: flex; align-items: center; justify-content: center; padding: 1.5em;
             text-align: center; text-wrap: balance; background: rgba(0, 0, 0, .55); pointer-events: none; }
  .message:empty { display: none; }
  .message.low { align-items: flex-end; background: linear-gradient(transparent 40%, rgba(0, 0, 0, .7)); }
  .controls { position: absolute; right: 0; bottom: 0; display: flex; gap: .25rem; padding: .5rem; opacity: 0;
              transition: opacity .15s; }
  :host(:hover) .controls, :host(:focus-within) .controls, .controls.on { opacity: 1; }
  button { all: unset; box-sizing: border-box; width: 2.5rem; height: 2.5rem; padding: .5rem; border-radius: .4rem;
           background: rgba(0, 0, 0, .6); cursor: pointer; }
  button:hover { background: rgba(60, 64, 67, .9); }
  button:focus-visible { outline: 2px solid #8ab4f8; outline-offset: 1px; }
  button[hidden] { display: none; }
  .start { width: auto; height: auto; border-radius: 0; background: none; }
  .start:hover { background: none; }
  .start:focus-visible { outline-offset: -3px; }
  .start::before, .start::after { content: ""; position: absolute; left: 50%; top: 50%;
                                  transform: translate(-50%, -50%); }
  .start::before { width: 4.5rem; height: 4.5rem; border-radius: 50%; background: rgba(60, 64, 67, .6); }
  .start:hover::before { background: rgba(60, 64, 67, .9); }
  .start::after { width: 1.5rem; height: 1.75rem; margin-left: .2rem; background: currentColor;
                  clip-path: polygon(0 0, 100% 50%, 0 100%); }
  svg { width: 100%; height: 100%; fill: currentColor; display: block; }
  @media (prefers-reduced-motion: reduce) { .controls { transition: none; } }
`;

const ICONS = {
  muted:
    "M4 9v6h4l5 5V4L8 9H4zm12.6 3 2.7-2.7-1.3-1.3-2.7 2.7-2.7-2.7v2.6l1.4 1.4-1.4 1.4v2.6l2.7-2.7 2.7 2.7 1.3-1.3z",
  sound:
    "M4 9v6h4l5 5V4L8 9H4zm11.5 3c0-1.8-1-3.3-2.5-4v8c1.5-.7 2.5-2.2 2.5-4zM13 4.2v2.1a6 6 0 0 1 0 11.4v2.1a8 8 0 0 0 0-15.6z",
  full: "M5 5h6v2H7v4H5V5zm8 0h6v6h-2V7h-4V5zM5 13h2v4h4v2H5v-6zm12 0h2v6h-6v-2h4v-4z",
};

const TEMPLATE = document.createElement("template");
TEMPLATE.innerHTML = `
  <video part="video" playsinline muted></video>
  <div class="message" part="message" role="status" aria-live="polite"></div>
  <button type="button" class="start play" part="start" aria-label="Play" hidden></button>
  <div class="controls" part="controls">
    <button type="button" class="mute"></button>
    <button type="button" class="full" aria-label="Full screen"></button>
  </div>`;

const SHEET = madeSheet();

/** Give the shadow `root` a player's parts. Returns them by name. */
export function furnish(root) {
  if (SHEET) {
    root.adoptedStyleSheets = [SHEET];
  } else {
    const style = document.createElement("style");
    style.textContent = STYLE;
    root.append(style);
  }
  root.append(TEMPLATE.content.cloneNode(true));
  const part = (selector) => root.querySelector(selector);
  const parts = {
    video: part("video"),
    message: part(".message"),
    start: part(".start"),
    controls: part(".controls"),
    mute: part(".mute"),
    full: part(".full"),
  };
  parts.full.innerHTML = icon(ICONS.full);
  return parts;
}

/** Have the buttons of `parts` turn sound on and off, and call `fullScreen`, which is null where that cannot be. */
export function operate({ video, controls, mute, full }, fullScreen) {
  mute.onclick = () => (video.muted = !video.muted);
  full.hidden = fullScreen === null;
  full.onclick = fullScreen;
  video.onvolumechange = () => {
    showMuted(mute, video.muted);
    if (!video.muted) controls.classList.remove("on");
  };
  showMuted(mute, true);
}

/** Have the button say whether there is sound. */
function showMuted(button, muted) {
  button.innerHTML = icon(muted ? ICONS.muted : ICONS.sound);
  button.setAttribute("aria-label", muted ? "Turn sound on" : "Turn sound off");
  button.setAttribute("aria-pressed", String(!muted));
}

/** The style as one sheet for all players of the page; null before Safari 16.4 and Firefox 101. */
function madeSheet() {
  if (!("adoptedStyleSheets" in Document.prototype)) return null;
  try {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    return sheet;
  } catch {
    return null;
  }
}

function icon(path) {
  return `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${path}"/></svg>`;
}
