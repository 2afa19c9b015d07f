// Requests that change something.

import { fetchWithin } from "./browser.js";
import { REQUEST_TIMEOUT } from "./signalling.js";
import { UNREACHABLE, refusedBefore } from "./words.js";

/** Ask the API for a change. Returns why it was refused, or empty text. */
export async function call(method, url, body) {
  let response;
  try {
    const headers = { "Content-Type": "application/json" };
    response = await fetchWithin(REQUEST_TIMEOUT, url, { method, headers, body: JSON.stringify(body) });
  } catch {
    return UNREACHABLE;
  }
  if (response.ok) return "";
  const problem = await response.json().catch(() => ({}));
  return problem.detail ?? refusedBefore(response.status);
}
