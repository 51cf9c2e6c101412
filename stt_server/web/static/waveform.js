// The outline of a clip with the places of its words; what was played is coloured. A press on it plays from there.

const BAR = 2;
const GAP = 1;

export class Waveform {
  constructor(canvas) {
    this.canvas = canvas;
    this.clear();
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  // `words`: [[word, start_s, end_s, confidence]].
  show(samples, duration, words) {
    Object.assign(this, { samples, duration, words: words ?? [], time: 0 });
    this.draw();
  }

  clear() {
    this.show(new Float32Array(0), 0, []);
  }

  at(time) {
    this.time = time;
    this.draw();
  }

  // The moment under a pointer, in seconds.
  moment({ clientX }) {
    const { left, width } = this.canvas.getBoundingClientRect();
    return Math.max(0, Math.min(1, (clientX - left) / width)) * this.duration;
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = devicePixelRatio;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    if (!this.duration) return;
    const pen = this.canvas.getContext("2d");
    const style = getComputedStyle(this.canvas);
    pen.scale(scale, scale);
    this.drawWords(pen, width, height, style);
    this.drawBars(pen, width, height, style);
  }

  // The ground under each word; between words there is none.
  drawWords(pen, width, height, style) {
    pen.fillStyle = style.getPropertyValue("--word");
    for (const [, start, end] of this.words) {
      const from = (start / this.duration) * width;
      pen.beginPath();
      pen.roundRect(from, 0, Math.max(2, ((end - start) / this.duration) * width), height, 6);
      pen.fill();
    }
  }

  drawBars(pen, width, height, style) {
    const bars = Math.max(1, Math.floor(width / (BAR + GAP)));
    const peaks = this.peaks(bars);
    const played = this.time / this.duration;
    for (let i = 0; i < bars; i++) {
      const tall = Math.max(BAR, peaks[i] * height * 0.92);
      pen.fillStyle = i / bars < played ? style.color : style.getPropertyValue("--soft");
      pen.beginPath();
      pen.roundRect(i * (BAR + GAP), (height - tall) / 2, BAR, tall, BAR / 2);
      pen.fill();
    }
    pen.fillStyle = style.color;
    pen.fillRect(Math.min(width - 2, played * width), 0, 2, height);
  }

  // The loudest sample under each bar, 0–1 of the clip's loudest.
  peaks(bars) {
    if (this.outline?.samples === this.samples && this.outline.peaks.length === bars) return this.outline.peaks;
    const peaks = new Float32Array(bars);
    const each = this.samples.length / bars;
    for (let i = 0; i < this.samples.length; i++) {
      const bar = Math.min(bars - 1, Math.floor(i / each));
      peaks[bar] = Math.max(peaks[bar], Math.abs(this.samples[i]));
    }
    const loudest = peaks.reduce((most, peak) => Math.max(most, peak), 1e-4);
    this.outline = { samples: this.samples, peaks: peaks.map((peak) => peak / loudest) };
    return this.outline.peaks;
  }
}
