// The server's key, where it asks for one. It is kept for this tab only, and never in a place that others can read.

const KEPT = "earloop-key";
const CONTRIBUTOR = "earloop-contributor";
const ANSWER_MS = 5000;
let unknown = false; // whether the server does not know this browser's contributor
let csrf = null; // where a cookie says who this is, what must come with all that changes something

export function key() {
  return sessionStorage.getItem(KEPT) ?? "";
}

// The token of whoever gives or judges clips in this browser, where no key says who that is. It outlives the tab: it is
// the only way to take back what was given. Who is logged in is not taken for whoever used this browser before.
export function contributor() {
  return unknown || csrf ? null : localStorage.getItem(CONTRIBUTOR);
}

export function keepContributor(token) {
  localStorage.setItem(CONTRIBUTOR, token);
  unknown = false;
}

// Another server stands at this address now: it would refuse whatever comes with the token.
export function setContributorAside() {
  unknown = true;
}

export function keepCsrf(token) {
  csrf = token;
}

// The headers of a request.
export function withKey() {
  return {
    ...(csrf ? { "X-CSRF-Token": csrf } : {}),
    ...(key() ? { Authorization: `Bearer ${key()}` } : {}),
    ...(contributor() ? { "X-Contributor": contributor() } : {}),
  };
}

// A WebSocket can have no header of ours, so that who it is goes into the address.
export function addKey(address) {
  if (key()) address.searchParams.set("key", key());
  if (contributor()) address.searchParams.set("contributor", contributor());
}

// Asks for the key when the server does. onadmitted() is called each time one was taken.
export class Door {
  constructor({ form, input, alert }, onadmitted) {
    Object.assign(this, { form, input, alert, onadmitted });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.enter(input.value.trim());
    });
  }

  // Ask the server whether this page may use it, and for a key if it may not.
  async check() {
    const refusal = await refused();
    if (refusal === "") return true;
    this.open(key() ? refusal : "");
    return false;
  }

  async enter(text) {
    if (!text) return this.open("Type the key, or paste it.");
    sessionStorage.setItem(KEPT, text);
    const refusal = await refused();
    if (refusal) {
      sessionStorage.removeItem(KEPT);
      return this.open(refusal);
    }
    this.input.value = "";
    this.form.hidden = true;
    this.onadmitted();
  }

  open(sentence) {
    this.form.hidden = false;
    this.alert.textContent = sentence;
    this.alert.hidden = !sentence;
    this.input.setAttribute("aria-invalid", String(Boolean(sentence)));
    this.input.focus();
    this.input.select();
  }
}

// Why this page may not use the server; empty when it may, or when nobody answers, which shows by itself.
async function refused() {
  try {
    const signal = AbortSignal.timeout(ANSWER_MS);
    const answer = await fetch("v1/models", { headers: withKey(), signal });
    if (![400, 401, 403, 429].includes(answer.status)) return "";
    const said = await answer.json().catch(() => ({}));
    return said.error?.message ?? `The server answered HTTP ${answer.status}.`;
  } catch {
    return "";
  }
}
