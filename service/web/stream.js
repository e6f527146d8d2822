// Plays speech while it is still being made; afterwards it is there as a file, to be heard again.
import { wav } from "./recorder.js";

export const RATE = 48000; // Hz, asked for: what most devices play, so that nothing converts the pieces
const AHEAD = 0.1; // seconds in hand at the start: a piece that comes a little late must not crackle
const HEARD = 10 ** (-50 / 20); // quieter samples are silence

// `context`: an AudioContext of that rate, made while a hand is on the page, or it may not sound.
// `response`: bare 16-bit samples. `heard()` is called when the first sound is there.
// Gives the file, and when its sound ends by the context's clock.
export async function playStream(context, response, heard) {
  const reader = response.body.getReader();
  const blocks = [];
  let [frames, ends, silent, half] = [0, 0, true, new Uint8Array(0)];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { file: wav(blocks, frames, RATE), ends };
    const bytes = new Uint8Array(half.length + value.length);
    bytes.set(half);
    bytes.set(value, half.length);
    half = bytes.slice(bytes.length - bytes.length % 2); // a sample that was cut in two
    const samples = floats(bytes);
    if (!samples.length) continue;
    blocks.push(samples);
    frames += samples.length;
    if (context.state === "closed") continue;
    const buffer = context.createBuffer(1, samples.length, RATE);
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    const starts = Math.max(ends, context.currentTime + (frames === samples.length ? AHEAD : 0));
    source.start(starts);
    ends = starts + buffer.duration;
    if (silent && samples.some((sample) => Math.abs(sample) > HEARD)) {
      silent = false;
      heard();
    }
  }
}

function floats(bytes) {
  const view = new DataView(bytes.buffer);
  const samples = new Float32Array(bytes.length >> 1);
  for (let i = 0; i < samples.length; i += 1) samples[i] = view.getInt16(2 * i, true) / 32768;
  return samples;
}
