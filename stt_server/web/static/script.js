// What is to be said: a script is [[sentence, times], …], as its dataset keeps it; `said` is {sentence: times}.

const TAKES = [
  "Say it as you always do.",
  "This time a little closer to the microphone.",
  "This time from farther away.",
  "A little faster.",
  "In another tone, as if you were in a hurry.",
  "Slowly, as if somebody had not understood you.",
  "Turned away from the microphone.",
  "More quietly, as if somebody slept.",
];

export function left([sentence, times], said) {
  return Math.max(0, times - (said[sentence] ?? 0));
}

export function leftInAll(script, said) {
  return script.reduce((sum, line) => sum + left(line, said), 0);
}

// The place of the sentence to be said after the one at `place`, round and round; null when all is said.
export function following(script, said, place) {
  const places = script.map((_, i) => (place + 1 + i) % script.length);
  return places.find((each) => left(script[each], said)) ?? null;
}

// How to say a sentence that was said so many times before: people who repeat themselves sound alike, a model learns
// most from what differs.
export function manner(times) {
  return TAKES[times % TAKES.length];
}

// A script as somebody writes it: a sentence per line, "50 × turn on the light" for one that is to be said 50 times.
export function read(text) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  return lines.map((line) => {
    const [, times, sentence] = line.match(/^(\d+)\s*(?:[×*]\s*|x\s+)(.+)$/i) ?? [null, "1", line];
    return [sentence, Number(times)];
  });
}

export function written(script) {
  return script.map(([sentence, times]) => (times === 1 ? sentence : `${times} × ${sentence}`)).join("\n");
}
