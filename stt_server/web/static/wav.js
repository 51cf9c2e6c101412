// A WAV file of frames of s16le mono.

export function wav(frames, rate) {
  const size = frames.reduce((sum, frame) => sum + frame.byteLength, 0);
  const header = new DataView(new ArrayBuffer(44));
  const text = (at, word) => [...word].forEach((letter, i) => header.setUint8(at + i, letter.charCodeAt(0)));
  const number = (at, value, bytes) => (bytes === 4 ? header.setUint32(at, value, true) : header.setUint16(at, value, true));
  text(0, "RIFF");
  number(4, 36 + size, 4);
  text(8, "WAVEfmt ");
  number(16, 16, 4); // bytes of what follows
  number(20, 1, 2); // linear samples
  number(22, 1, 2); // channels
  number(24, rate, 4);
  number(28, rate * 2, 4); // bytes per second
  number(32, 2, 2); // bytes per frame
  number(34, 16, 2); // bits per sample
  text(36, "data");
  number(40, size, 4);
  return new Blob([header, ...frames], { type: "audio/wav" });
}
