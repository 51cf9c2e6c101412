// The way into a page that needs to know who is there: log in where the server asks for it, else become somebody.

import { Refusal, ask, becomeSomebody, whoAmI } from "./api.js";
import { $ } from "./element.js";
import { contributor, setContributorAside } from "./key.js";

// Who is there, or null when the browser is on its way to the login. Throws Refusal for a key that may not do this.
export async function enter(scope) {
  const me = await whoAmI();
  showAccount(me);
  if (me.scopes.includes(scope) || me.scopes.includes("admin")) return me;
  if (me.scopes.length) throw new Refusal(403, `Your key may not do this: it needs the scope ${scope}. Log in with another one.`);
  location.replace(`login?next=${encodeURIComponent(location.pathname.split("/").at(-1) + location.search)}`);
  return null;
}

// The same, as a person.
export async function enterAsPerson(scope) {
  const me = await enter(scope);
  if (me) await beSomebody(me);
  return me;
}

// Where no key says who is there, the server makes somebody for this browser.
export async function beSomebody({ open, person }) {
  if (open && !person && !(await known())) await becomeSomebody();
}

// Whether the server knows the contributor of this browser; one that it does not know is not named to it any more.
export async function known() {
  if (!contributor()) return false;
  try {
    await ask("GET", "v1/consent");
    return true;
  } catch (error) {
    if (error.status === 403) return true; // a key that may judge and not give has its own person
    if (error.status !== 401) throw error;
    setContributorAside();
    return false;
  }
}

function showAccount({ name, csrf, open }) {
  const link = $("account");
  if (open && !csrf) return;
  link.textContent = csrf ? name : "Log in";
  link.hidden = false;
}
