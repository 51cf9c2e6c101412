// A key, shown once: the server answers with a cookie that this browser sends from then on.

import { ask, whoAmI } from "./api.js";
import { $, alarm } from "./element.js";

// Where the visitor came from: a page of this server, never another address.
function next() {
  const wanted = new URLSearchParams(location.search).get("next") ?? "";
  return /^[a-z]*(\?[^#]*)?$/.test(wanted) ? `./${wanted}` : "./";
}

async function show() {
  const me = await whoAmI().catch(() => null);
  const known = Boolean(me?.csrf);
  $("form").hidden = known;
  $("known").hidden = !known;
  $("open").hidden = !me?.open || known;
  if (known) $("name").textContent = me.name;
  if (!known) $("key").focus();
}

async function logIn() {
  const key = $("key").value.trim();
  if (!key) return refuse("Type the key, or paste it.");
  try {
    await ask("POST", "v1/login", { key });
    location.assign(next());
  } catch (error) {
    refuse(error.message);
  }
}

function refuse(sentence) {
  alarm(sentence);
  $("key").setAttribute("aria-invalid", "true");
  $("key").focus();
  $("key").select();
}

async function logOut() {
  try {
    await ask("POST", "v1/logout");
    alarm(null);
    await show();
  } catch (error) {
    alarm(error.message);
  }
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  logIn();
});
$("out").addEventListener("click", logOut);
show();
