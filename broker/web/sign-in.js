// The form to sign in with; with a code behind the address's #, the one that makes the first admin.

import { HOME, below } from "./address.js";
import { showMissing } from "./arrival.js";
import { fetchWithin } from "./browser.js";
import { call } from "./call.js";
import { REQUEST_TIMEOUT } from "./signalling.js";
import { UNREACHABLE } from "./words.js";

const form = /** @type {HTMLFormElement} */ (document.getElementById("form"));
const [problem, again] = ["problem", "again"].map((id) => document.getElementById(id));
const go = /** @type {HTMLButtonElement} */ (document.getElementById("go"));
const code = new URLSearchParams(location.hash.slice(1)).get("code");

const WITHOUT_LINK = "Nobody can sign in here yet. When the server started, it printed a link that makes the first admin: look in its log.";

showMissing(document.getElementById("missing"));
if (code) {
  document.getElementById("title").textContent = "The first admin";
  tell("Nobody can sign in here yet. Choose the name and the password of the first admin.");
  again.hidden = false;
  form.querySelector("[name=password]").setAttribute("autocomplete", "new-password");
  go.textContent = "Go on";
}

fetchWithin(REQUEST_TIMEOUT, below(HOME, "api/login"), { cache: "no-store" })
  .then((response) => response.json())
  .then((ways) => {
    if (ways.first && !code) tell(WITHOUT_LINK);
    if (code && !ways.first) tell("There is already an admin, and this link makes no other. Sign in without it.");
    const elsewhere = document.getElementById("elsewhere");
    const link = elsewhere.querySelector("a");
    form.hidden = !ways.password && !code;
    elsewhere.hidden = !ways.sign_on;
    link.textContent = ways.sign_on;
    link.href = new URL(`sign-in/start${location.search}`, HOME).href;
  })
  .catch(() => (problem.textContent = UNREACHABLE));

form.onsubmit = async (event) => {
  event.preventDefault();
  const { user, password, again: repeated } = Object.fromEntries(new FormData(form));
  if (code && password !== repeated) {
    problem.textContent = "The two passwords are not the same.";
    return;
  }
  go.disabled = true;
  problem.textContent = code
    ? await call("POST", below(HOME, "api/first-admin"), { user, password, code })
    : await call("POST", below(HOME, "api/login"), { user, password });
  go.disabled = false;
  if (!problem.textContent) location.replace(wayBack());
};

/** Say what has to be known before the form is filled in. */
function tell(sentence) {
  const first = document.getElementById("first");
  first.textContent = sentence;
  first.hidden = false;
}

/** The page that sent us here, if it is one of ours. */
function wayBack() {
  try {
    const next = new URL(new URLSearchParams(location.search).get("next") ?? "", HOME);
    const ours = next.origin === HOME.origin && next.pathname.startsWith(HOME.pathname);
    return ours ? next.href : HOME.href;
  } catch {
    return HOME.href; // it is no address
  }
}
