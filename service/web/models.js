// The models: listed, installed with progress, shared, promoted, rolled back, deleted.
import { byId, call, failureOf, showVoices } from "./app.js";
import { ask } from "./voices.js";

const LOOK_MS = 10000;
const LOOK_WHILE_INSTALLING_MS = 700;
const FILES = ["t2s", "sovits", "hubert_config", "hubert", "speaker", "bert_config", "bert_tokenizer", "bert"];
const STATES = { ready: "in memory", loading: "is being loaded", unloaded: "loaded when it is needed" };
const CARD_STATES = {
  ready: "The graphics card speaks it.",
  loading: "The graphics card is being made ready; the processor speaks meanwhile.",
  building: "The graphics card's engines are being built; the processor speaks meanwhile.",
};

export let models = []; // as the service listed them last
let traffic = { weights: {}, before: null };
let shown = ""; // what the list shows, so that it is rebuilt only when that changes
let timer = 0;
const told = new Set(); // installations whose end has been told

const addressOf = (model) => `v1/models/${encodeURIComponent(model.id)}`;

export async function showModels() {
  clearTimeout(timer);
  let busy = false;
  try {
    const response = await call("v1/models");
    byId("models").hidden = !response.ok;
    if (response.ok) busy = show(await response.json());
  } finally {
    timer = setTimeout(showModels, busy ? LOOK_WHILE_INSTALLING_MS : LOOK_MS);
  }
}

function show({ data, traffic: shares, jobs, incoming, versions, converting, box }) {
  const state = JSON.stringify([data, shares]);
  // A list that is rebuilt takes the keyboard's place in it away.
  if (state !== shown) {
    shown = state;
    [models, traffic] = [data, shares];
    byId("model-list").replaceChildren(...models.map(row));
    byId("shares").hidden = models.length < 2;
    byId("sticky").value = traffic.sticky;
    document.dispatchEvent(new Event("models"));
  }
  const busy = jobs.filter(({ state }) => !["done", "failed", "cancelled"].includes(state));
  byId("models-none").hidden = data.length > 0;
  byId("box").hidden = !box || data.length > 0 || busy.length > 0;
  for (const note of document.querySelectorAll("#install [data-converting]")) note.hidden = note.dataset.converting !== converting;
  showJobs(jobs);
  fill("install-version", versions.toReversed());
  fill("install-folder", incoming);
  return busy.length > 0;
}

function fill(id, names) {
  const list = byId(id);
  if ([...list.options].map(({ value }) => value).join("\n") === names.join("\n")) return;
  list.replaceChildren(...names.map((name) => new Option(name, name)));
}

function row(model) {
  const item = document.createElement("li");
  const share = model.share > 0 ? `speaks ${Math.round(model.share * 100)} %` : "does not speak";
  const facts = [share, model.version, model.precision, size(model.bytes), STATES[model.state]];
  const about = lines(model.name, facts.filter(Boolean).join(" · "));
  if (model.reason) about.append(line(`Cannot speak: ${model.reason}`, true));
  const card = model.rungs.find(({ name }) => name === "tensorrt");
  if (card?.state === "failed") about.append(line(`The graphics card does not speak it: ${card.reason}`, true));
  else if (card && CARD_STATES[card.state]) about.append(line(CARD_STATES[card.state]));
  const buttons = document.createElement("div");
  buttons.className = "buttons";
  if (models.length > 1) buttons.append(weightOf(model));
  if (model.share < 1) buttons.append(button("Promote", model, promote));
  if (model.share > 0 && traffic.before) buttons.append(button("Roll back", model, rollBack));
  if (card?.state === "failed") buttons.append(button("Build again", model, build));
  if (model.source !== "setting") buttons.append(button("Delete", model, remove));
  item.append(about, buttons);
  return item;
}

function weightOf(model) {
  const value = traffic.weights[model.id] ?? 0;
  const input = Object.assign(document.createElement("input"), { type: "number", min: 0, max: 1000000, step: "any", value });
  input.className = "weight";
  input.dataset.model = model.id;
  input.setAttribute("aria-label", `Share of ${model.name}`);
  return input;
}

function button(label, model, act) {
  const made = Object.assign(document.createElement("button"), { type: "button", className: "quiet small", textContent: label });
  made.setAttribute("aria-label", `${label}: ${model.name}`);
  made.addEventListener("click", async () => {
    made.disabled = true;
    try {
      await act(model);
    } catch (error) {
      say(error.message);
    } finally {
      made.disabled = false;
    }
  });
  return made;
}

function lines(title, text) {
  const about = Object.assign(document.createElement("div"), { className: "about" });
  about.append(Object.assign(document.createElement("strong"), { textContent: title }), line(text));
  return about;
}

function line(text, bad = false) {
  const made = Object.assign(document.createElement("span"), { textContent: text });
  if (bad) made.dataset.bad = "true";
  return made;
}

const size = (bytes) => bytes < 1e9 ? `${Math.max(1, Math.round(bytes / 1e6))} MB` : `${(bytes / 1e9).toFixed(1)} GB`;

function showJobs(jobs) {
  const list = byId("job-list");
  const wanted = jobs.filter(({ state }) => state !== "done");
  for (const item of [...list.children]) {
    if (!wanted.some(({ id }) => id === item.dataset.job)) item.remove();
  }
  for (const job of wanted) showJob(list, job);
  // The newest is listed first, and shall have the last word.
  for (const job of jobs.filter(({ state, id }) => state === "done" && !told.has(id)).toReversed()) {
    told.add(job.id);
    say(job.source === "engines" ? `${job.name}: ${job.message}.` : `${job.name} is installed.`);
    showVoices();
  }
}

function showJob(list, job) {
  let item = list.querySelector(`[data-job="${job.id}"]`);
  if (!item) {
    item = document.createElement("li");
    item.dataset.job = job.id;
    const bar = Object.assign(document.createElement("progress"), { max: 100 });
    bar.setAttribute("aria-label", `Progress of ${job.name}`);
    const about = lines(job.source === "engines" ? `Engines of ${job.name}` : job.name, "");
    about.append(bar);
    item.append(about, button("Cancel", job, cancel));
    list.append(item);
  }
  const ended = ["failed", "cancelled"].includes(job.state);
  const text = item.querySelector("span");
  text.textContent = ended ? `${job.state}: ${job.message}` : `${job.stage || job.state}: ${job.message || "waits for its turn"}`;
  text.toggleAttribute("data-bad", job.state === "failed");
  item.querySelector("progress").hidden = ended;
  item.querySelector("progress").value = job.percent;
  item.querySelector("button").textContent = ended ? "Dismiss" : "Cancel";
}

async function cancel(job) {
  await done(await call(`v1/models/jobs/${job.id}`, { method: "DELETE" }), "");
}

async function promote(model) {
  say(`${model.name} is being loaded…`);
  await done(await call(`${addressOf(model)}/promote`, { method: "POST" }), `${model.name} speaks now.`);
}

async function rollBack(model) {
  await done(await call(`${addressOf(model)}/rollback`, { method: "POST" }), "The shares are what they were before.");
}

async function build(model) {
  await done(await call(`${addressOf(model)}/build`, { method: "POST" }), `The engines of ${model.name} are looked at again.`);
}

async function remove(model) {
  const last = model.share === 1 && models.length === 1;
  const text = last
    ? "It is the only model: without it the plain voice speaks for everybody."
    : "Its files are deleted for good.";
  if (!(await ask(`Delete ${model.name}?`, text, "Delete"))) return;
  await done(await call(addressOf(model) + (last ? "?last=true" : ""), { method: "DELETE" }), `${model.name} is deleted.`);
}

async function done(response, text) {
  say(response.ok ? text : await failureOf(response));
  await showModels();
  await showVoices();
}

function say(text) {
  byId("models-said").textContent = text;
}

async function applyShares() {
  const inputs = [...document.querySelectorAll("#model-list .weight")];
  const weights = Object.fromEntries(inputs.map((input) => [input.dataset.model, Number(input.value)]));
  const body = JSON.stringify({ weights, sticky: byId("sticky").value });
  await done(await call("v1/models/traffic", { method: "PUT", body }), "The shares are applied.");
}

function showSource() {
  const from = byId("install-from").value;
  for (const part of document.querySelectorAll("#install [data-from]")) part.hidden = part.dataset.from !== from;
}

function openInstall(open) {
  byId("install").hidden = !open;
  byId("add-model").hidden = open;
  byId("install-said").textContent = "";
  (open ? byId("install-from") : byId("add-model")).focus();
}

async function install() {
  const from = byId("install-from").value;
  const name = byId("install-name").value.trim();
  const precision = byId("install-precision").value;
  if (from === "upload") return upload(name, precision);
  const body = { source: from, precision, ...(name && { name }) };
  if (from === "hub") Object.assign(body, { version: byId("install-version").value, chinese: byId("install-chinese").checked });
  if (from === "folder") body.folder = byId("install-folder").value;
  const response = await call("v1/models", { method: "POST", body: JSON.stringify(body) });
  if (!response.ok) throw new Error(await failureOf(response));
}

function upload(name, precision) {
  const body = new FormData();
  if (name) body.append("name", name);
  body.append("precision", precision);
  for (const field of FILES) {
    const [file] = byId(`file-${field}`).files;
    if (file) body.append(field, file);
  }
  if (!body.has("t2s")) throw new Error("Choose the .ckpt file.");
  if (!body.has("sovits")) throw new Error("Choose the .pth file.");
  showModels(); // how far the upload is stands in the list of installations
  const sending = call("v1/models", { method: "POST", body });
  setTimeout(showModels, LOOK_WHILE_INSTALLING_MS);
  return sending.then(async (response) => {
    if (!response.ok) throw new Error(await failureOf(response));
  });
}

byId("install").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("install-start").disabled = true;
  byId("install-said").textContent = "";
  try {
    await install();
    openInstall(false);
    byId("install").reset();
    showSource();
  } catch (error) {
    byId("install-said").textContent = `Not installed: ${error.message}`;
  } finally {
    byId("install-start").disabled = false;
    await showModels();
  }
});
byId("install-from").addEventListener("change", showSource);
byId("install-cancel").addEventListener("click", () => openInstall(false));
byId("add-model").addEventListener("click", () => openInstall(true));
byId("share").addEventListener("click", applyShares);
document.addEventListener("token", showModels);
showModels();
