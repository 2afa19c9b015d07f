// What a reverse proxy in between has to tell the server and does not: one sentence, for whoever looks after it.

import { HOME, below } from "./address.js";
import { fetchWithin } from "./browser.js";
import { REQUEST_TIMEOUT } from "./signalling.js";

/** Say it in an element that is hidden while there is nothing to say. */
export async function showMissing(element) {
  try {
    const response = await fetchWithin(REQUEST_TIMEOUT, below(HOME, "api/arrival"), { cache: "no-store" });
    if (response.ok) element.textContent = arrivalProblem(await response.json(), HOME);
  } catch {
    return; // the page itself says that nothing gets through
  }
  element.hidden = element.textContent === "";
}

/** The first thing that is wrong with how a request for the page below `home` arrived. */
export function arrivalProblem(arrival, home) {
  const { scheme, prefix, believed, forwarded_for: client, forwarded_proto: proto, forwarded_host: host } = arrival;
  const path = home.pathname.replace(/\/$/, "");
  if (home.protocol === "https:" && scheme !== "https") {
    const unsafe = "so sign-in is not limited to https, and single sign-on leads back to http";
    if (proto && !believed) {
      return `The proxy's X-Forwarded-Proto is not trusted, ${unsafe}: add the proxy's address to http.trusted_proxies.`;
    }
    return (
      `The proxy in front of Camshaft does not say that this page is https, ${unsafe}: have it send X-Forwarded-Proto ` +
      "(nginx: proxy_set_header X-Forwarded-Proto $scheme), and add its address to http.trusted_proxies."
    );
  }
  if (path !== prefix && prefix) {
    return (
      `Camshaft is set up to be below ${prefix}/ (by http.base_path or the proxy's X-Forwarded-Prefix), but this page is not ` +
      "there, so nobody stays signed in here."
    );
  }
  if (path !== prefix) {
    return (
      `This page is below ${path}/ and Camshaft does not know, so the addresses it gives to players and to single sign-on ` +
      `are wrong: have the proxy send X-Forwarded-Prefix ${path}, or set http.base_path to ${path}.`
    );
  }
  if (believed && !client && (proto || host)) {
    return (
      "The proxy in front of Camshaft does not say who asks, so logs and limits take everybody for the proxy: have it " +
      "send X-Forwarded-For (nginx: proxy_set_header X-Forwarded-For $remote_addr)."
    );
  }
  return "";
}
