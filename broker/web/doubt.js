// Whether a WebSocket is dead, which a browser takes minutes to say: another one is opened beside it. That takes two round
// trips, so a socket that brings nothing meanwhile is: no time that was measured before, on another network, is needed for
// that.

const DOUBT_TIMEOUT = 500; // ms at least for anything to be heard, where media has stopped
const SPARE_AFTER = 200; // ms of them after which another socket is opened; less where the way is long
const OPEN = 1; // WebSocket.OPEN, also where there is no WebSocket

/**
 * Judge the socket of `signalling`, which dispatches `heard` with all that it brings and `offline` when it has broken.
 * `suspect` is called when the other socket, to `url`, is opened, and `judged` once: with whether the first is dead, and
 * the other if it is open, null else.
 */
export function judge(signalling, url, roundTrip, suspect, judged) {
  const since = performance.now();
  let spare = null;
  const settle = (dead) => {
    timers.forEach(clearTimeout);
    signalling.removeEventListener("heard", alive);
    signalling.removeEventListener("offline", died);
    const open = spare?.readyState === OPEN;
    if (spare && !open) spare.onopen = () => spare.close(); // a browser complains of one that is closed before
    judged(dead, open ? spare : null);
  };
  const alive = () => settle(false);
  const died = () => settle(true);
  const look = () => spare?.readyState === OPEN && performance.now() - since >= DOUBT_TIMEOUT && settle(true);
  const another = () => {
    suspect();
    try {
      spare = new WebSocket(url);
      spare.onopen = look;
    } catch {
      spare = null; // which the next that connects finds out, too
    }
  };
  const timers = [
    setTimeout(another, Math.max(0, SPARE_AFTER - roundTrip.within(0) / 2)),
    setTimeout(look, DOUBT_TIMEOUT),
    setTimeout(died, 2 * roundTrip.within(DOUBT_TIMEOUT)),
  ];
  signalling.addEventListener("heard", alive);
  signalling.addEventListener("offline", died);
}
