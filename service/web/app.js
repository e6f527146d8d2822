import { lower, rungName, seconds } from "./words.js";

// Addresses are relative, so the page also works behind Home Assistant's ingress.
export const byId = (id) => document.getElementById(id);
const TOKEN = "gptsovits-token";
const HEALTH_EVERY_MS = 5000;

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
    line.textContent = health.status === "ok"
      ? `Ready · ${lower(rungName(health.rung))}${queue}`
      : `${health.status}${health.reason ? `: ${health.reason}` : ""}`;
    const broker = health.mqtt?.reason;
    if (broker) line.textContent += ` · MQTT: ${broker}`;
    line.dataset.state = health.status === "ok" && !broker ? "good" : "bad";
  } catch {
    line.textContent = "The service does not answer";
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

async function speak() {
  const result = byId("result");
  const started = performance.now();
  result.textContent = "Speaking…";
  const body = {
    input: byId("text").value,
    voice: byId("voice").value || undefined,
    language: byId("language").value || undefined,
    speed: Number(byId("speed").value),
    response_format: "mp3",
  };
  const response = await call("v1/audio/speech", { method: "POST", body: JSON.stringify(body) });
  const first = performance.now() - started;
  if (!response.ok) {
    byId("access").hidden = response.status !== 401;
    result.textContent = `Not spoken: ${await failureOf(response)}`;
    return;
  }
  const player = byId("player");
  URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(await response.blob());
  player.hidden = false;
  const rung = response.headers.get("X-Speech-Rung");
  result.textContent = `${rungName(rung)} · first sound after ${seconds(first / 1000)}`;
  await player.play().catch(() => {});
}

byId("speak").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  try {
    await speak();
  } catch (error) {
    byId("result").textContent = `Not spoken: ${error.message}`;
  } finally {
    button.disabled = false;
  }
});

byId("access").addEventListener("submit", (event) => {
  event.preventDefault();
  localStorage.setItem(TOKEN, byId("token").value);
  showVoices();
  document.dispatchEvent(new Event("token"));
});

byId("speed").addEventListener("input", ({ target }) => {
  byId("speed-shown").textContent = Number(target.value).toFixed(1);
});

showHealth();
showVoices();
setInterval(showHealth, HEALTH_EVERY_MS);
