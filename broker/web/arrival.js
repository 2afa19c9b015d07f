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
    const unsafe = "so sign-in is not kept to https, and single sign-on leads back to http";
    if (proto && !believed) {
      return `The proxy's X-Forwarded-Proto is not believed, ${unsafe}: its address has to stand in http.trusted_proxies.`;
    }
    return (
      `The proxy in front of Camshaft does not say that this page is https, ${unsafe}: it has to send X-Forwarded-Proto ` +
      "(nginx: proxy_set_header X-Forwarded-Proto $scheme), and its address has to stand in http.trusted_proxies."
    );
  }
  if (path !== prefix && prefix) {
    return (
      `Camshaft is set up to be below ${prefix}/ (by http.base_path or the proxy's X-Forwarded-Prefix), and this page is not ` +
      "there: nobody stays signed in here."
    );
  }
  if (path !== prefix) {
    return (
      `This page is below ${path}/ and Camshaft is not told so, so addresses that it gives to players and to single sign-on ` +
      `are wrong: the proxy has to send X-Forwarded-Prefix ${path}, or http.base_path has to be ${path}.`
    );
  }
  if (believed && !client && (proto || host)) {
    return (
      "The proxy in front of Camshaft does not say who asks, so all people have its own address in logs and limits: it has " +
      "to send X-Forwarded-For (nginx: proxy_set_header X-Forwarded-For $remote_addr)."
    );
  }
  return "";
}
