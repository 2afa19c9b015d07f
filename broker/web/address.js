// Addresses of the server's, each with the token that a page or a player shows: where a browser can set no header, and
// for a page that was opened with one.

const TOKEN = "token";

const script = import.meta.url; // by a name of its own: bundlers take new URL("…", import.meta.url) for a file to copy

/** Whether these scripts come from a server of ours, and not from a package in which somebody has put them. */
export const SERVED = new URL(script).pathname.endsWith("/static/address.js");

/** Where the server is, if they do; with the token of the page's own address, if it is the server's. */
export const HOME = new URL("..", script);
if (location.origin === HOME.origin) showToken(HOME, new URLSearchParams(location.search).get(TOKEN));

/** The address of a `server` that a page names, which may end in a slash or not. */
export function serverAt(server) {
  const url = new URL(server, document.baseURI);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

/** Have everything `below` this address show a token; null for none. */
export function showToken(base, token) {
  if (token) base.searchParams.set(TOKEN, token);
}

/** The address of `path` below the server's, with its token. */
export function below(base, path) {
  const url = new URL(path, base);
  showToken(url, new URL(base).searchParams.get(TOKEN)); // a page may give its location
  return url;
}
