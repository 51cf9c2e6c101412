// How late text is, by this page's clock. Audio time becomes wall time by the frame that arrived with the least delay.

export class Latency {
  constructor() {
    this.start = Infinity; // wall time, in ms, at which the stream's audio began
    this.seen = []; // per word of the utterance: {word, at} since when it has stood here
  }

  // `seconds` of audio have been captured by now.
  captured(seconds) {
    this.start = Math.min(this.start, performance.now() - seconds * 1000);
  }

  // A partial arrived. A word counts from when it first stood at its place unchanged.
  partial(text) {
    const words = text.split(" ");
    this.seen = words.map((word, i) => (this.seen[i]?.word === word ? this.seen[i] : { word, at: performance.now() }));
  }

  // A final arrived. In ms: `final` from the end of its last word (null without words), `word` the median delay of the
  // words that had stood in a partial (null when there were none).
  final({ words }) {
    const now = performance.now();
    const lags = words.flatMap(({ word, end }, i) => (this.seen[i]?.word === word ? [this.seen[i].at - this.wall(end)] : []));
    this.seen = [];
    return { final: words.length ? Math.max(0, now - this.wall(words.at(-1).end)) : null, word: median(lags) };
  }

  wall(seconds) {
    return this.start + seconds * 1000;
  }
}

function median(numbers) {
  return numbers.length ? numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)] : null;
}
