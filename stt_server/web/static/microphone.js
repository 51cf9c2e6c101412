// The microphone as frames of s16le mono at the audio hardware's own rate; the server resamples.

export const FRAME_MS = 40;
const HIGHEST_RATE = 48000; // what the server takes; some sound cards run faster

export class Microphone {
  // Opens the device; may ask the user. onframe(pcm: ArrayBuffer, level: 0–1, last: boolean), onlost() when unplugged.
  static async open(onframe, onlost) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("Browsers give the microphone to secure pages only: open this page over https or on localhost.");
    }
    const context = contextWithin(HIGHEST_RATE);
    try {
      const media = await navigator.mediaDevices.getUserMedia({
        // Cleaning made for human ears costs words; automatic gain helps whoever sits far away.
        audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true },
      });
      return await new Microphone(context, media).start(onframe, onlost);
    } catch (error) {
      await context.close();
      throw new Error(sentences[error.name] ?? `The microphone cannot be used: ${error.message}`, { cause: error });
    }
  }

  constructor(context, media) {
    this.context = context;
    this.media = media;
  }

  get rate() {
    return this.context.sampleRate;
  }

  async start(onframe, onlost) {
    await this.context.audioWorklet.addModule(new URL("worklet.js", import.meta.url)).catch((cause) => {
      throw new Error("its code cannot be reached on the server, is that still running?", { cause });
    });
    await this.context.resume();
    this.frames = new AudioWorkletNode(this.context, "frames", {
      numberOfOutputs: 0,
      processorOptions: { frameMs: FRAME_MS },
    });
    this.frames.port.onmessage = ({ data }) => {
      onframe(data.pcm, data.level, data.last);
      if (data.last) this.context.close();
    };
    this.context.createMediaStreamSource(this.media).connect(this.frames);
    for (const track of this.media.getTracks()) track.onended = onlost;
    return this;
  }

  // Releases the device at once; a last frame with what was still in hand follows.
  stop() {
    for (const track of this.media.getTracks()) track.stop();
    this.frames.port.postMessage("stop");
  }
}

function contextWithin(rate) {
  const context = new AudioContext({ latencyHint: "interactive" });
  if (context.sampleRate <= rate) return context;
  context.close();
  return new AudioContext({ latencyHint: "interactive", sampleRate: rate });
}

const sentences = {
  NotAllowedError: "The microphone is blocked: allow it for this page in the browser's address bar, then press again.",
  NotFoundError: "No microphone is connected: plug one in, then press again.",
  NotReadableError: "The microphone is in use by another program: close that one, then press again.",
};
