// How high a video's picture stands on the screen: by this the server chooses the camera's stream.

const SETTLED_AFTER = 250; // ms without a further change

/** In pixels of the screen; 0 while the video stands nowhere. */
export function heightOf(video) {
  const { clientWidth, clientHeight, videoWidth, videoHeight } = video;
  const height = videoWidth ? Math.min(clientHeight, (clientWidth * videoHeight) / videoWidth) : clientHeight;
  return Math.round(height * (window.devicePixelRatio || 1));
}

/** Call `changed` whenever the video has got another size, and keeps it. */
export function followHeight(video, changed) {
  let timer = 0;
  const settle = () => {
    clearTimeout(timer);
    timer = setTimeout(changed, SETTLED_AFTER);
  };
  if (typeof ResizeObserver === "function") new ResizeObserver(settle).observe(video);
  else addEventListener("resize", settle); // of the page alone: better than none
}
