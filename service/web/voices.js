// The voices of people: listed, heard, renamed, deleted.
import { addressOf, byId, call, failureOf, languageName, showVoices, voices } from "./app.js";
import { modelChoices, openEnrolment } from "./enrol.js";
import { models } from "./models.js";

document.addEventListener("voices", showList);
document.addEventListener("models", showList);

function showList() {
  byId("voices-none").hidden = voices.length === 0 || voices.some(({ cloned }) => cloned);
  byId("voice-list").replaceChildren(...voices.map(row));
}

function row(voice) {
  const item = document.createElement("li");
  const about = document.createElement("div");
  about.className = "about";
  const name = document.createElement("strong");
  name.textContent = voice.name;
  const facts = document.createElement("span");
  facts.textContent = voice.cloned
    ? [
      languageName(voice.language),
      `${voice.seconds.toFixed(1)} s`,
      day(voice.created),
      !voice.usable && "waits for consent",
      voice.model && `model ${models.find(({ id }) => id === voice.model)?.name ?? `${voice.model} (gone)`}`,
      voice.usable && !voice.rung && "no model speaks it yet: another voice stands in",
    ].filter(Boolean).join(" · ")
    : "speaks where no other voice can";
  about.append(name, facts);
  const buttons = document.createElement("div");
  buttons.className = "buttons";
  if (voice.cloned) {
    if (!voice.usable) buttons.append(button("Confirm", voice, confirmConsent));
    buttons.append(
      button("Listen", voice, () => listen(voice)),
      button("Rename", voice, rename),
      ...(models.length || voice.model ? [button("Model", voice, chooseModel)] : []),
      button("Record again", voice, () => openEnrolment(voice)),
      button("Add a style", voice, () => openEnrolment(voice, true)),
      button("Delete", voice, remove),
    );
  }
  item.append(about, buttons, ...voice.styles.map((style) => styleRow(voice, style)));
  return item;
}

function styleRow(voice, style) {
  const line = document.createElement("div");
  line.className = "style";
  const name = document.createElement("span");
  name.textContent = style;
  const named = { ...voice, name: `${voice.name}, ${style}` };
  const address = `${addressOf(voice)}/styles/${encodeURIComponent(style)}`;
  const buttons = document.createElement("div");
  buttons.className = "buttons";
  buttons.append(
    button("Listen", named, () => listen(voice, address)),
    button("Delete", named, () => removeStyle(named, address)),
  );
  line.append(name, buttons);
  return line;
}

function button(label, voice, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "quiet small";
  made.textContent = label;
  made.setAttribute("aria-label", `${label}: ${voice.name}`);
  made.addEventListener("click", () => act(voice));
  return made;
}

function day(time) {
  const date = new Date(time);
  return Number.isNaN(date.valueOf()) ? "" : date.toLocaleDateString();
}

async function listen(voice, address = addressOf(voice)) {
  const response = await call(`${address}/reference`);
  if (!response.ok) return say(await failureOf(response));
  const player = byId("reference-player");
  URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(await response.blob());
  player.hidden = false;
  await player.play().catch(() => {});
}

async function rename(voice) {
  const name = field("Name of the voice", { value: voice.name, maxLength: 60, required: true });
  if (!(await ask(`Rename ${voice.name}`, "Automations go on: the voice's id stays.", "Rename", name))) return;
  await change(voice, { name: name.input.value }, "Renamed.");
}

async function chooseModel(voice) {
  const input = Object.assign(document.createElement("select"), { id: "ask-input" });
  input.append(...modelChoices(voice.model));
  const caption = Object.assign(document.createElement("label"), { htmlFor: input.id, textContent: "Model" });
  const text = "The model that speaks this voice.";
  if (!(await ask(`Model of ${voice.name}`, text, "Use it", { nodes: [caption, input] }))) return;
  await change(voice, { model: input.value || null }, "Chosen.");
}

async function remove(voice) {
  const text = "Its recording, what was made of it and what it has said are deleted for good.";
  if (!(await ask(`Delete ${voice.name}?`, text, "Delete"))) return;
  const response = await call(addressOf(voice), { method: "DELETE" });
  byId("reference-player").hidden = true;
  await told(response, `${voice.name} is deleted.`);
}

async function removeStyle({ name }, address) {
  const text = "Its recording and what was made of it are deleted for good.";
  if (!(await ask(`Delete ${name}?`, text, "Delete"))) return;
  byId("reference-player").hidden = true;
  await told(await call(address, { method: "DELETE" }), `${name} is deleted.`);
}

async function confirmConsent(voice) {
  const who = field("Whose voice it is, in full", { maxLength: 100, required: true });
  const text = "I am this person, or this person has agreed: this house may make a synthetic voice of the recording and speak with it.";
  if (!(await ask(`Confirm ${voice.name}`, text, "I confirm", who))) return;
  await change(voice, { consent_name: who.input.value, consent: true }, "Confirmed.");
}

async function change(voice, body, done) {
  await told(await call(addressOf(voice), { method: "PATCH", body: JSON.stringify(body) }), done);
}

async function told(response, done) {
  say(response.ok ? done : await failureOf(response));
  await showVoices();
}

function say(text) {
  byId("voices-said").textContent = text;
}

export function field(label, properties) {
  const input = Object.assign(document.createElement("input"), { id: "ask-input", autocomplete: "off", ...properties });
  const caption = Object.assign(document.createElement("label"), { htmlFor: input.id, textContent: label });
  return { input, nodes: [caption, input] };
}

export function ask(title, text, yes, { nodes = [] } = {}) {
  const dialog = byId("ask");
  byId("ask-title").textContent = title;
  byId("ask-text").textContent = text;
  byId("ask-yes").textContent = yes;
  byId("ask-fields").replaceChildren(...nodes);
  dialog.returnValue = "no";
  dialog.showModal();
  (nodes.at(-1) ?? byId("ask-no")).focus(); // Enter must not delete
  settle?.(false);
  return new Promise((answer) => { settle = answer; });
}

let settle = null; // answers the question that is asked now

byId("ask").addEventListener("close", ({ target: dialog }) => {
  // The browser tells of a closing later, when the next question may already be open.
  if (dialog.open) return;
  settle?.(dialog.returnValue === "yes");
  settle = null;
});

byId("add-voice").addEventListener("click", () => openEnrolment());
showList();
