// Who looks at this page; a page of somebody who has to sign in goes to the form, and comes back.

import { HOME, below } from "./address.js";
import { fetchWithin } from "./browser.js";
import { REQUEST_TIMEOUT } from "./signalling.js";
import { SocketSignalling } from "./socket.js";

/** {name, kind, role, cameras, expires} of whoever is signed in; null if the server does not say. */
export async function whoAmI() {
  try {
    const response = await fetchWithin(REQUEST_TIMEOUT, below(HOME, "api/me"), { cache: "no-store" });
    if (response.status === 401) signIn();
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

/** Go to the form, which knows the way back. */
export function signIn() {
  const form = new URL("sign-in", HOME);
  form.search = new URLSearchParams({ next: location.pathname.slice(HOME.pathname.length) }).toString();
  location.replace(form);
}

// The server closes the socket of a page whose rights are not what they were, and lets none in of one that has none.
for (const event of ["rights", "blocked"]) SocketSignalling.to(HOME).addEventListener(event, whoAmI);
