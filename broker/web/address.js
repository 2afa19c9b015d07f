// Addresses of the server's, each with the token that a page or a player shows: where a browser can set no header, and
// for a page that was opened with one.

const TOKEN = "token";

/** Where the server is, as these scripts come from it; with the token of the page's own address, if it is the server's. */
export const HOME = new URL("..", import.meta.url);
if (location.origin === HOME.origin) showToken(HOME, new URLSearchParams(location.search).get(TOKEN));

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
