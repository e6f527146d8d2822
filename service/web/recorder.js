// Records the microphone as a WAV file; browsers' own recorder writes formats that are lossy.

const WORKLET = `registerProcessor("take", class extends AudioWorkletProcessor {
  process([input]) {
    if (input[0]) this.port.postMessage(input[0].slice());
    return true;
  }
});`;

export const canRecord = Boolean(globalThis.isSecureContext && navigator.mediaDevices?.getUserMedia);

// Begin; `heard(seconds, level)` is called as sound comes, level in dB of full scale.
// The result's stop() gives the file.
export async function record(heard) {
  const stream = await navigator.mediaDevices.getUserMedia({
    // What telephones do to a voice would be cloned with it.
    audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  });
  const context = new AudioContext();
  const blocks = [];
  let frames = 0;
  try {
    const url = URL.createObjectURL(new Blob([WORKLET], { type: "text/javascript" }));
    await context.audioWorklet.addModule(url);
    URL.revokeObjectURL(url);
    const take = new AudioWorkletNode(context, "take");
    context.createMediaStreamSource(stream).connect(take).connect(context.destination);
    take.port.onmessage = ({ data }) => {
      blocks.push(data);
      frames += data.length;
      heard(frames / context.sampleRate, levelOf(data));
    };
  } catch (error) {
    await end(stream, context);
    throw error;
  }
  return {
    async stop() {
      const rate = context.sampleRate;
      await end(stream, context);
      return wav(blocks, frames, rate);
    },
  };
}

async function end(stream, context) {
  stream.getTracks().forEach((track) => track.stop());
  await context.close();
}

function levelOf(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return 10 * Math.log10(sum / samples.length + 1e-10);
}

// A WAV file of samples from -1 to 1; `frames` is how many there are in all.
export function wav(blocks, frames, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * frames));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * frames, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * frames, true);
  let at = 44;
  for (const block of blocks) {
    for (const sample of block) {
      view.setInt16(at, 32767 * Math.max(-1, Math.min(1, sample)), true);
      at += 2;
    }
  }
  return new File([view], "recording.wav", { type: "audio/wav" });
}
