// One clip that is heard: by an <audio> element, which keeps the pitch at any speed and, once a browser has let it
// play, plays the next clip by itself. It knows how much was heard without a gap from the start.

import { wav } from "./wav.js";

const GAP_S = 0.05;
const RATE = 16_000; // of every clip

export class Player {
  // onmove() while it plays and when it stops; onheard() once, when the clip was heard to its end.
  constructor({ onmove, onheard }) {
    this.audio = new Audio();
    this.audio.preservesPitch = true;
    Object.assign(this, { onmove, onheard, speed: 1 });
    this.clear();
    for (const kind of ["timeupdate", "play", "pause", "ended"]) this.audio.addEventListener(kind, () => this.moved());
    this.audio.addEventListener("ended", () => this.ended());
  }

  // The samples of a clip, which is ready to be played then. Throws an Error with a sentence.
  // It plays from a wav of them: Chromium stands still where it is sent near the end of a short FLAC file.
  async load(bytes) {
    this.clear();
    try {
      const decoded = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(bytes);
      const samples = decoded.getChannelData(0);
      this.address = URL.createObjectURL(wav([linear(samples)], RATE));
      this.audio.src = this.address;
      this.duration = decoded.duration;
      return samples;
    } catch (error) {
      throw new Error("This browser cannot play the clip; skip it.", { cause: error });
    }
  }

  clear() {
    this.audio.pause();
    this.audio.removeAttribute("src");
    if (this.address) URL.revokeObjectURL(this.address);
    Object.assign(this, { address: null, duration: 0, heard: 0, gapless: false, until: Infinity, complete: false });
  }

  get playing() {
    return !this.audio.paused;
  }

  get time() {
    return Math.min(this.audio.currentTime, this.duration);
  }

  set rate(speed) {
    this.speed = speed;
    this.audio.playbackRate = speed;
  }

  // From one moment to another, in seconds. False where the browser wants a press of the user first.
  async play(from = 0, until = Infinity) {
    this.gapless = from <= this.heard + GAP_S;
    this.until = until;
    this.audio.currentTime = from;
    this.audio.playbackRate = this.speed;
    try {
      await this.audio.play();
    } catch (error) {
      if (error.name === "NotAllowedError") return false;
      if (error.name !== "AbortError") throw error; // stopped again before it began
    }
    this.follow();
    return true;
  }

  pause() {
    this.audio.pause();
  }

  follow() {
    if (!this.playing) return;
    this.moved();
    requestAnimationFrame(() => this.follow());
  }

  moved() {
    if (this.gapless) this.heard = Math.max(this.heard, this.time);
    if (this.playing && this.time >= this.until) this.audio.pause();
    this.onmove();
  }

  ended() {
    if (!this.gapless || this.complete) return;
    this.complete = true;
    this.onmove();
    this.onheard();
  }
}

const linear = (samples) => Int16Array.from(samples, (sample) => Math.max(-32_768, Math.min(32_767, Math.round(32_768 * sample))));
