// The browser's side of the native protocol on /v1/stream: audio and commands go in, the server's messages come out.

import { addKey, withKey } from "./key.js";

const OPEN_MS = 10_000;
const FINISH_MS = 15_000;
const REASON_MS = 1000; // within which a server that ends a stream of its own accord says why
const LEFT = "The server has ended the stream; press the microphone to go on.";
const HELD_S = 10; // audio that may wait for a slow network or a server not yet ready, in seconds

export class Stream {
  // `rate` in Hz. onmessage(message) for each but `error`; onend(sentence or null) once, when nothing comes any more.
  constructor(rate, { onmessage, onend }) {
    this.bound = HELD_S * rate * 2;
    this.waiting = [];
    this.sent = 0; // seconds of audio handed in
    this.rate = rate;
    this.onmessage = onmessage;
    this.onend = onend;
    this.finishing = false;
    this.address = new URL("v1/stream", document.baseURI);
    const socketAddress = new URL(this.address);
    addKey(socketAddress);
    socketAddress.protocol = this.address.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(socketAddress);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.socket.send(JSON.stringify({ type: "open", encoding: "s16le", sample_rate: rate, channels: 1 }));
    this.socket.onmessage = ({ data }) => this.take(JSON.parse(data));
    this.socket.onclose = (event) => this.closed(event);
    this.patience("The server did not open the stream in time; try again.", OPEN_MS);
  }

  // Audio as an ArrayBuffer of s16le. What comes before the server is ready is kept and follows.
  send(pcm) {
    if (this.ended) return;
    this.sent += pcm.byteLength / 2 / this.rate;
    if (this.waiting) this.waiting.push(pcm);
    else this.socket.send(pcm);
    const held = this.waiting?.reduce((sum, frame) => sum + frame.byteLength, 0) ?? this.socket.bufferedAmount;
    if (held > this.bound) this.end(`The network or the server takes no more audio; ${HELD_S} s of it are waiting.`);
  }

  // No more audio. The last final comes, then onend.
  finish() {
    if (this.ended || this.finishing) return;
    this.finishing = true;
    if (!this.waiting) this.sendFinish();
  }

  sendFinish() {
    this.socket.send(JSON.stringify({ type: "finish" }));
    this.patience("The server did not answer in time; the last words may be missing.", FINISH_MS);
  }

  take(message) {
    if (message.type === "error") return this.end(message.message);
    if (message.type === "ready") this.release();
    this.onmessage(message);
    if (message.type !== "finished") return;
    if (this.finishing) return this.end(null);
    this.left = true; // nobody asked for it: the server shuts down, or the stream was too long
    this.patience(LEFT, REASON_MS);
  }

  // The server is ready: send what has been said meanwhile.
  release() {
    clearTimeout(this.timer);
    for (const pcm of this.waiting) this.socket.send(pcm);
    this.waiting = null;
    if (this.finishing) this.sendFinish();
  }

  async closed(event) {
    if (this.ended) return;
    const refused = this.waiting && event.code === 1006;
    this.end(refused ? await refusal(this.address) : this.left ? LEFT : broken(event));
  }

  patience(sentence, ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.end(sentence), ms);
  }

  end(sentence) {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.timer);
    this.socket.close();
    this.onend(sentence);
  }
}

function broken({ code, reason }) {
  return `The connection to the server broke (${code}${reason ? `, ${reason}` : ""}); press the microphone to go on.`;
}

// Why there was no upgrade. The browser hides the answer from sockets but not from a plain request, which a server with
// room refuses with 400: then what was wrong has passed.
async function refusal(address) {
  try {
    const answer = await fetch(address, { headers: withKey(), signal: AbortSignal.timeout(3000) });
    const said = await answer.json().catch(() => ({}));
    if ([401, 403, 429].includes(answer.status)) return said.error?.message ?? "The server refuses this page.";
    if (answer.status !== 503) return "The connection failed; press the microphone to try again.";
    return `The server is busy: ${said.error?.message ?? "try again in a moment"}.`;
  } catch {
    return "The server cannot be reached: is it still running?";
  }
}
