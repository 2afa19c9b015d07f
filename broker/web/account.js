// Whoever is signed in: its rights, its password, signing out; and for an admin the users.

import { HOME, below } from "./address.js";
import { isSure, tell } from "./asking.js";
import { fetchWithin } from "./browser.js";
import { call } from "./call.js";
import { inWordsOf } from "./forms.js";
import { whoAmI } from "./me.js";
import { REQUEST_TIMEOUT } from "./signalling.js";

const password = /** @type {HTMLFormElement} */ (document.getElementById("password"));
const users = document.getElementById("users");
const newUser = /** @type {HTMLFormElement} */ (users.querySelector("form"));
const signOut = document.getElementById("sign-out");

whoAmI().then((me) => {
  if (!me) return;
  document.getElementById("name").textContent = me.name || "Nobody has to sign in here";
  document.getElementById("rights").textContent = rightsOf(me);
  password.hidden = me.kind !== "user";
  signOut.hidden = !["user", "oidc"].includes(me.kind);
  users.hidden = me.role !== "admin";
  if (!users.hidden) showUsers();
});

signOut.onclick = async () => {
  await call("DELETE", below(HOME, "api/login"));
  location.replace(new URL("sign-in", HOME));
};

onSubmit(password, (form) => call("PUT", below(HOME, "api/me/password"), Object.fromEntries(new FormData(form))));

onSubmit(newUser, (form) => {
  const { cameras, ...user } = Object.fromEntries(new FormData(form));
  const names = user.role === "viewer" ? String(cameras).split(",") : [];
  return call("POST", below(HOME, "api/users"), { ...user, cameras: names.map((name) => name.trim()).filter(Boolean) });
});

/** Have `act` answer with what went wrong, or with empty text. */
function onSubmit(form, act) {
  form.onsubmit = async (event) => {
    event.preventDefault();
    const [problem, done] = [".problem", ".done"].map((name) => form.querySelector(name));
    done.textContent = "";
    problem.textContent = inWordsOf(form, await act(form));
    if (problem.textContent) return;
    form.reset();
    done.textContent = "Done.";
    if (!users.hidden) showUsers();
  };
}

async function showUsers() {
  const response = await fetchWithin(REQUEST_TIMEOUT, below(HOME, "api/users"), { cache: "no-store" });
  const list = users.querySelector("ul");
  list.textContent = "";
  for (const user of response.ok ? await response.json() : []) {
    const item = list.appendChild(document.createElement("li"));
    item.textContent = `${user.user}: ${rightsOf(user)} `;
    const remove = item.appendChild(document.createElement("button"));
    remove.type = "button";
    remove.textContent = "Remove";
    remove.onclick = async () => {
      if (!(await isSure(`Remove ${user.user}?`, "Remove"))) return;
      const refused = await call("DELETE", below(HOME, `api/users/${encodeURIComponent(user.user)}`));
      if (refused) tell(refused);
      else showUsers();
    };
  }
}

function rightsOf({ role, cameras }) {
  if (role === "admin") return "admin, may do everything";
  if (role === "monitor") return "monitor, reads what is measured and watches no camera";
  if (!cameras.length) return "may watch no camera";
  return cameras.includes("*") ? "may watch all cameras" : `may watch ${cameras.join(", ")}`;
}
