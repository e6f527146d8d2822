import { RATE, playStream } from "./stream.js";
import { lower, rungName, seconds } from "./words.js";

// Addresses are relative, so the page also works behind Home Assistant's ingress.
export const byId = (id) => document.getElementById(id);
const TOKEN = "gptsovits-token";
const HEALTH_EVERY_MS = 5000;
const STATES = {
  loading: "Getting ready",
  degraded: "It speaks, but not as well as it could",
  unavailable: "It cannot speak now",
};

export function call(path, options = {}) {
  const token = localStorage.getItem(TOKEN);
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  return fetch(path, { ...options, headers });
}

export async function failureOf(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `the service answered ${response.status}`;
  }
}

async function showHealth() {
  const line = byId("health");
  try {
    const health = await (await fetch("health")).json();
    const queue = health.queue.depth ? ` · ${health.queue.depth} waiting` : "";
    const why = health.reason ? `: ${health.reason}` : "";
    line.textContent = health.status === "ok"
      ? `Ready · ${lower(rungName(health.rung))}${queue}`
      : `${STATES[health.status] ?? health.status}${why}`;
    const broker = health.mqtt?.reason;
    if (broker) line.textContent += ` · MQTT: ${broker}`;
    line.dataset.state = broker ? "bad" : { ok: "good", loading: "waits" }[health.status] ?? "bad";
  } catch {
    line.textContent = "The service does not answer. Is it running?";
    line.dataset.state = "bad";
  }
}

export function languageName(tag) {
  try {
    return new Intl.DisplayNames(undefined, { type: "language" }).of(tag);
  } catch {
    return tag;
  }
}

export let voices = []; // as the service listed them last
export const addressOf = (voice) => `v1/voices/${encodeURIComponent(voice.id)}`;

// Fills the two lists and tells the rest of the page (voices.js) what there is.
export async function showVoices() {
  const response = await call("v1/voices");
  byId("access").hidden = response.status !== 401;
  byId("speak").hidden = response.status === 401;
  byId("voices").hidden = !response.ok;
  if (!response.ok) return;
  const { languages, default: preferred, ...answer } = await response.json();
  voices = answer.voices;
  const chosen = byId("voice").value || preferred;
  byId("voice").replaceChildren(
    ...voices.filter(({ usable }) => usable)
      .map(({ id, name }) => new Option(name, id, false, id === chosen)),
  );
  const language = byId("language");
  const spoken = language.value;
  language.replaceChildren(
    language.options[0],
    ...languages.map((tag) => new Option(languageName(tag), tag, false, tag === spoken)),
  );
  document.dispatchEvent(new Event("voices"));
}

let speaking = null; // ends the speech that is on its way

async function speak(stop) {
  const result = byId("result");
  const player = byId("player");
  const started = performance.now();
  // While the button is being pressed: later the browser might not let it sound.
  const context = new AudioContext({ sampleRate: RATE });
  stop.addEventListener("abort", () => context.close().catch(() => {}));
  player.pause();
  player.hidden = true;
  result.textContent = "Speaking…";
  const body = {
    input: byId("text").value,
    voice: byId("voice").value || undefined,
    language: byId("language").value || undefined,
    speed: Number(byId("speed").value),
    response_format: "pcm",
    sample_rate: RATE,
  };
  const response = await call("v1/audio/speech", { method: "POST", body: JSON.stringify(body), signal: stop });
  if (response.status === 401) showVoices();
  if (!response.ok) {
    stop.throwIfAborted();
    result.textContent = `Not spoken: ${await failureOf(response)}`;
    await context.close();
    return;
  }
  const rung = rungName(response.headers.get("X-Speech-Rung"));
  const { file, ends } = await playStream(context, response, () => {
    result.textContent = `${rung} · first sound after ${seconds((performance.now() - started) / 1000)}`;
  });
  URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(file);
  player.hidden = false;
  await heardOut(context, ends, stop);
}

// Wait until the last sound is out, or somebody stops it.
async function heardOut(context, ends, stop) {
  while (!stop.aborted && context.state === "running" && context.currentTime < ends) {
    await new Promise((go) => { setTimeout(go, 50); });
  }
  if (context.state !== "closed") await context.close();
}

byId("speak").addEventListener("submit", async (event) => {
  event.preventDefault();
  speaking = new AbortController();
  const { signal } = speaking;
  const button = byId("say");
  button.disabled = true;
  byId("stop").hidden = false;
  try {
    await speak(signal);
  } catch (error) {
    byId("result").textContent = signal.aborted ? "Stopped." : `Broken off: ${error.message}`;
  } finally {
    speaking.abort();
    const held = document.activeElement === byId("stop");
    byId("stop").hidden = true;
    button.disabled = false;
    if (held) button.focus();
  }
});

byId("stop").addEventListener("click", () => {
  byId("result").textContent = "Stopped.";
  speaking.abort();
});
byId("player").addEventListener("play", () => speaking?.abort()); // not the same speech twice

byId("access").addEventListener("submit", async (event) => {
  event.preventDefault();
  localStorage.setItem(TOKEN, byId("token").value);
  await showVoices();
  if (byId("access").hidden) {
    byId("text").focus();
    document.dispatchEvent(new Event("token"));
  } else {
    byId("access-said").textContent = "That is not the token. Copy it whole, without the word Bearer.";
    byId("token").select();
  }
});

byId("speed").addEventListener("input", ({ target }) => {
  byId("speed-shown").textContent = Number(target.value).toFixed(1);
});

showHealth();
showVoices();
setInterval(showHealth, HEALTH_EVERY_MS);
