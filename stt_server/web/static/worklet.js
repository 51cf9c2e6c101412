// Runs in the audio thread: gathers blocks of 128 samples into frames of 16-bit integers and measures their level.
// Posts {pcm: ArrayBuffer, level: 0–1} per frame, and after a "stop" the rest, however short, with last: true.

class Frames extends AudioWorkletProcessor {
  constructor({ processorOptions: { frameMs } }) {
    super();
    this.frame = new Int16Array(Math.round((sampleRate * frameMs) / 1000));
    this.filled = 0;
    this.energy = 0;
    this.running = true;
    this.port.onmessage = () => this.post(true);
  }

  process([input]) {
    for (const sample of mono(input)) {
      this.frame[this.filled++] = Math.round(Math.max(-1, Math.min(1, sample)) * 32767);
      this.energy += sample * sample;
      if (this.filled === this.frame.length) this.post(false);
    }
    return this.running;
  }

  post(last) {
    if (!this.running) return;
    const pcm = this.frame.slice(0, this.filled).buffer;
    const level = Math.sqrt(this.energy / Math.max(1, this.filled));
    this.port.postMessage({ pcm, level, last }, [pcm]);
    this.filled = this.energy = 0;
    this.running = !last;
  }
}

// The mean of the channels; nothing while the source is not connected.
function mono(channels) {
  if (channels.length < 2) return channels[0] ?? [];
  return channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
}

registerProcessor("frames", Frames);
