// The house at this moment: the ladder, the queue, and what was said last.
// It asks again and again: events that are pushed get stuck in Home Assistant's ingress (docs/protocols.md).
import { byId, call, voices } from "./app.js";
import { models } from "./models.js";
import { showPlot } from "./plot.js";
import { lower, rungName, seconds, upper } from "./words.js";

const LOOK_MS = 1000;
const LOOK_AFTER_FAILURE_MS = 5000;
const PATIENCE_MS = 10000; // an answer that gets lost on its way must not end the looking
const FEW = 5; // announcements that are shown before somebody asks for more
const DOORS = { http: "HTTP", tts: "HTTP", websocket: "WebSocket", wyoming: "Wyoming", mqtt: "MQTT" };
const ENDS = {
  cancelled: "stopped by who asked",
  expired: "came too late to be worth saying",
  queue_full: "too many waited already",
  too_many_requests: "would have come too late",
  not_ready: "the service was not ready",
};

let answers = [];
let count = null; // of answers, as the list shows them
let ladder = ""; // what its list shows, so that it is rebuilt only when that changes
let rung = null; // who spoke when we looked last
let all = false;
let timer = 0;

async function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  let later = LOOK_MS;
  try {
    const response = await call("v1/live", { signal: AbortSignal.timeout(PATIENCE_MS) });
    byId("house").hidden = response.status === 401;
    if (!response.ok) throw new Error(String(response.status));
    const now = await response.json();
    showLadder(now);
    showQueue(now.queue);
    if (now.answers !== count) await showAnswers(now.answers);
    byId("house").dataset.live = "true";
  } catch {
    later = LOOK_AFTER_FAILURE_MS;
    if (byId("house").dataset.live === "true") say("The service does not answer; this is how it was.");
    byId("house").dataset.live = "false";
    rung = null;
  } finally {
    clearTimeout(timer);
    timer = setTimeout(look, later);
  }
}

const modelName = (id) => models.find((model) => model.id === id)?.name ?? id;
const shareOf = (id) => models.find((model) => model.id === id)?.share ?? 0;
const voiceName = (id) => voices.find((voice) => voice.id === id)?.name ?? id ?? "Unknown voice";

function showLadder({ rungs, rung: speaks }) {
  const able = rungs.filter(({ name, up }) => up && name === speaks);
  const sharing = able.filter(({ model }) => shareOf(model) > 0);
  const speakers = sharing.length ? sharing : able.slice(0, 1);
  const steps = rungs.map((each) => ({
    name: rungName(each.name),
    model: each.model ? `Model ${modelName(each.model)}` : "",
    ...stateOf(each, speakers),
    why: each.up ? "" : each.reason ?? "",
  }));
  const state = JSON.stringify(steps);
  if (state !== ladder) {
    ladder = state;
    byId("ladder").replaceChildren(...steps.map(step));
  }
  if (rung !== null && rung !== speaks) say(`From now on: ${lower(rungName(speaks))}.`);
  else if (rung === null) say("");
  rung = speaks;
}

function stateOf(step, speakers) {
  const { model, up, reason, since } = step;
  if (speakers.includes(step)) {
    const share = speakers.length > 1 ? `speaks ${Math.round(shareOf(model) * 100)} %` : "speaks now";
    return { kind: "speaks", state: share };
  }
  if (up) return { kind: "waits", state: "stands by" };
  if (reason === null) return { kind: "loads", state: "is being loaded" };
  return { kind: "down", state: since === null ? "down" : `down for ${duration(since)}` };
}

function duration(time) {
  if (time < 60) return "less than a minute";
  const minutes = Math.floor(time / 60);
  if (minutes < 120) return `${minutes} min`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} days`;
}

function step({ name, model, kind, state, why }) {
  const item = element("li");
  item.dataset.state = kind;
  item.append(element("strong", name), element("span", state, "state"));
  if (model) item.append(element("span", model, "why"));
  if (why) item.append(element("span", why, "why"));
  return item;
}

function showQueue({ depth, limit, speaking }) {
  const bar = byId("queue-bar");
  bar.max = limit;
  bar.high = Math.max(1, limit * 0.75);
  bar.value = depth;
  const waiting = Math.max(0, depth - (speaking ? 1 : 0));
  const wait = waiting === 0 ? "nobody waits" : `${waiting} ${waiting === 1 ? "waits" : "wait"}`;
  const now = speaking ? `${voiceName(speaking.voice)} is speaking (${DOORS[speaking.door] ?? speaking.door}), ${wait}` : wait;
  put(byId("queue-now"), `${upper(now)}. There is room for ${limit}.`);
}

async function showAnswers(known) {
  const response = await call("v1/recent", { signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!response.ok) throw new Error(String(response.status));
  answers = (await response.json()).answers;
  count = known;
  render();
}

function render() {
  byId("recent-none").hidden = answers.length > 0;
  byId("recent-plot").hidden = byId("recent").hidden = answers.length === 0;
  byId("recent-more").hidden = answers.length <= FEW;
  byId("recent-more").textContent = all ? "Show fewer" : `Show all ${answers.length}`;
  byId("recent-more").setAttribute("aria-expanded", String(all));
  byId("recent").tBodies[0].replaceChildren(...answers.slice(0, all ? answers.length : FEW).map(row));
  if (answers.length) showPlot(answers);
}

function row(answer) {
  const line = element("tr");
  const time = element("time", clock(answer.time));
  time.dateTime = answer.time;
  const who = element("td");
  const by = answer.rung && answer.rung !== "pending" ? lower(rungName(answer.rung)) : null;
  const model = answer.model ? modelName(answer.model) : null;
  const failed = answer.outcome !== "done";
  const about = [by, model, DOORS[answer.door] ?? answer.door, failed && `request ${answer.id}`];
  who.append(element("span", voiceName(answer.voice), "who"));
  if (answer.text) who.append(element("q", answer.text));
  const facts = element("span", "", "about");
  facts.append(time, ` · ${about.filter(Boolean).join(" · ")}`);
  who.append(facts);
  if (failed) who.append(element("span", ending(answer), "ending"));
  line.append(
    who,
    element("td", answer.first_audio === null ? "none" : seconds(answer.first_audio / 1000), "number"),
    element("td", answer.seconds ? seconds(answer.seconds) : "none", "number"),
  );
  return line;
}

function ending({ outcome, seconds: heard }) {
  const why = ENDS[outcome] ?? outcome.replaceAll("_", " ");
  return `${heard ? "Broken off" : "Not spoken"}: ${why}`;
}

function clock(time) {
  const date = new Date(time);
  const today = date.toDateString() === new Date().toDateString();
  const day = today ? {} : { day: "numeric", month: "short" };
  return date.toLocaleString(undefined, { ...day, hour: "numeric", minute: "2-digit" });
}

function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

// Writing what stands there already would make screen readers say it again.
function put(line, text) {
  if (line.textContent !== text) line.textContent = text;
}

function say(text) {
  put(byId("house-said"), text);
}

byId("recent-more").addEventListener("click", () => {
  all = !all;
  render();
});
document.addEventListener("visibilitychange", look);
document.addEventListener("token", look);
document.addEventListener("voices", render);
document.addEventListener("models", render);
addEventListener("resize", () => answers.length && showPlot(answers));
look();
