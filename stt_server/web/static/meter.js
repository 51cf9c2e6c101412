// The level of the last seconds as a row of bars; a dotted line while nothing is recorded.

const BAR = 3;
const GAP = 3;
const FLOOR_DB = -55; // what counts as no sound

export class Meter {
  constructor(canvas) {
    this.canvas = canvas;
    this.levels = [];
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  // `level` is a root mean square, 0–1. Returns it as it is drawn, 0–1 of the height.
  push(level) {
    const height = Math.max(0, 1 - (20 * Math.log10(level + 1e-9)) / FLOOR_DB);
    this.levels.push(height);
    this.levels.splice(0, this.levels.length - 512);
    this.draw();
    return height;
  }

  rest() {
    this.levels = [];
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = devicePixelRatio;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.fillStyle = getComputedStyle(this.canvas).color;
    const bars = Math.floor(width / (BAR + GAP));
    for (let i = 0; i < bars; i++) {
      const level = this.levels.at(i - bars) ?? 0;
      const tall = Math.max(BAR, Math.min(1, level) * height);
      pen.globalAlpha = level ? 0.35 + 0.65 * (i / bars) : 0.25;
      pen.beginPath();
      pen.roundRect(i * (BAR + GAP), (height - tall) / 2, BAR, tall, BAR / 2);
      pen.fill();
    }
  }
}
