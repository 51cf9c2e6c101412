// One clip that is ours to judge for a while. The lease is kept alive while the page is used, and lets go when nobody is
// there any more, so that somebody else gets the clip.

import { ask } from "./api.js";

const IDLE_MS = 10 * 60_000;
const GONE = [404, 409, 410];

export class Lease {
  // The next clip, null when none is left. onlost() once, when the clip is no longer ours. Throws Refusal.
  static async take(onlost) {
    const given = await ask("POST", "v1/tagging/lease");
    return given && new Lease(given, onlost);
  }

  constructor({ lease, expires, clip, left }, onlost) {
    Object.assign(this, { id: lease, clip, left, onlost, over: false });
    this.used();
    this.expect(expires);
  }

  // Somebody did something.
  used() {
    this.last = performance.now();
  }

  // `expires` seconds are left; beat after a third of them.
  expect(expires) {
    this.ends = performance.now() + expires * 1000;
    this.timer = setTimeout(() => this.beat(), (expires * 1000) / 3);
  }

  async beat() {
    if (this.over) return;
    if (performance.now() > this.ends) return this.lost();
    if (performance.now() - this.last > IDLE_MS) return this.wait();
    try {
      const { expires } = await ask("POST", `v1/tagging/${this.id}/beat`);
      if (!this.over) this.expect(expires);
    } catch (error) {
      if (this.over) return;
      if (GONE.includes(error.status)) return this.lost();
      this.wait(); // a network that is away for a moment
    }
  }

  wait() {
    this.timer = setTimeout(() => this.beat(), 2000);
  }

  lost() {
    if (this.over) return;
    this.end();
    this.onlost();
  }

  end() {
    this.over = true;
    clearTimeout(this.timer);
  }

  // {clip, today}; null when the lease was lost before. Throws Refusal.
  vote(verdict, text) {
    return this.settle("vote", text === undefined ? { verdict } : { verdict, text });
  }

  skip() {
    return this.settle("skip");
  }

  async settle(what, body) {
    try {
      const answer = await ask("POST", `v1/tagging/${this.id}/${what}`, body);
      this.end();
      return answer ?? {};
    } catch (error) {
      if (!GONE.includes(error.status)) throw error;
      this.lost();
      return null;
    }
  }
}
