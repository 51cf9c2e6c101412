// One recording: from the press that starts it to the file it became.

import { FRAME_MS, Microphone } from "./microphone.js";
import { wav } from "./wav.js";

const LONGEST_S = 30;

export class Take {
  // onlevel(0–1) for each frame, onfull() when it is as long as a clip may be or the microphone was unplugged. Throws an Error with a sentence.
  static async start({ onlevel, onfull }) {
    const take = new Take(onlevel, onfull);
    take.microphone = await Microphone.open((pcm, level, last) => take.frame(pcm, level, last), onfull);
    return take;
  }

  constructor(onlevel, onfull) {
    Object.assign(this, { onlevel, onfull, frames: [] });
    this.ended = new Promise((resolve) => (this.end = resolve));
  }

  get seconds() {
    return (this.frames.length * FRAME_MS) / 1000;
  }

  frame(pcm, level, last) {
    this.frames.push(pcm);
    if (last) return this.end();
    this.onlevel(level);
    if (this.seconds === LONGEST_S) this.onfull();
  }

  // The recording as a WAV file.
  async stop() {
    this.microphone.stop();
    await this.ended;
    return wav(this.frames, this.microphone.rate);
  }
}
