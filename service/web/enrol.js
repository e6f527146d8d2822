// Makes a voice: a recording, its text, the person's consent.
import { addressOf, byId, call, failureOf, showVoices } from "./app.js";
import { models } from "./models.js";
import { canRecord, record } from "./recorder.js";

const LONGEST_RECORDING = 30; // seconds; the best ten of them are used
// Each takes five to ten seconds to read.
const SENTENCES = {
  en: [
    "The quick brown fox jumped over the fence, while the children were having breakfast in the garden.",
    "Every evening we pull the curtains, light the fire, and listen to the rain on the old tin roof.",
    "She bought fresh cherries, a jug of milk and those warm brown rolls that everybody likes on Sundays.",
  ],
  zh: [
    "今天早上下了一场小雨，爸爸带着我们去公园散步，路边的花都开了。",
    "晚饭已经准备好了，请大家先洗手，再把窗户关上，我们一起吃饭吧。",
  ],
  yue: ["今朝落咗一場細雨，爸爸帶我哋去公園散步，路邊啲花都開晒。", "晚飯已經準備好喇，請大家洗手，然後一齊食飯。"],
  ja: ["今日は朝から雨が降っていましたが、午後には晴れて、みんなで公園まで散歩に行きました。"],
  ko: ["오늘 아침에는 비가 조금 내렸지만, 오후에는 날씨가 맑아져서 모두 함께 공원을 걸었습니다."],
};

let recording = null; // while the microphone is on
let file = null; // what would be sent
let sentence = 0;
let again = null; // the voice that is recorded anew or gets a style, null for a new one
let asStyle = false; // the recording is a further style of that voice
let checks = 0; // the verdicts asked for; only the latest counts

// Open the form: for a new voice, to record one anew, or to give it a further style.
export async function openEnrolment(voice = null, style = false) {
  if (recording) await stopRecording();
  again = voice;
  asStyle = style;
  byId("enrol").reset();
  forgetFile();
  const title = style ? `Add a style of ${voice?.name}, such as happy` : `Record ${voice?.name} again`;
  byId("enrol-title").textContent = voice ? title : "Add a voice";
  byId("name-label").textContent = style ? "Name of the style" : "Name of the voice";
  byId("name").maxLength = style ? 30 : 60;
  byId("name-row").hidden = Boolean(voice) && !style;
  byId("model-row").hidden = Boolean(voice) || !models.length;
  byId("enrol-model").replaceChildren(...modelChoices());
  if (voice) byId("enrol-language").value = voice.language;
  byId("enrol").hidden = false;
  byId("add-voice").hidden = true;
  showSentence();
  byId("enrol").scrollIntoView({ block: "start" });
  byId("enrol-language").focus();
}

// The models that may be chosen for a voice, the house's own choice first.
export function modelChoices(chosen = null) {
  return [
    new Option("the house's choice", "", false, !chosen),
    ...models.map(({ id, name }) => new Option(name, id, false, id === chosen)),
  ];
}

async function closeEnrolment() {
  if (recording) await stopRecording();
  forgetFile();
  byId("enrol").hidden = true;
  byId("add-voice").hidden = false;
  byId("add-voice").focus();
}

function forgetFile() {
  if (!byId("suggested").hidden) byId("transcript").value = "";
  byId("suggested").hidden = true;
  file = null;
  checks += 1;
  byId("recorded").hidden = true;
  byId("verdict").replaceChildren();
  byId("enrol-said").textContent = "";
  byId("record-time").textContent = "";
}

function showSentence() {
  const choices = SENTENCES[byId("enrol-language").value];
  byId("sentence").lang = byId("enrol-language").value;
  byId("sentence").textContent = choices[sentence % choices.length];
}

async function startRecording() {
  const time = byId("record-time");
  recording = await record((seconds, level) => {
    byId("level").value = level;
    time.textContent = `${seconds.toFixed(1)} s`;
    if (seconds >= LONGEST_RECORDING && recording) stopRecording();
  });
  byId("level").hidden = false;
  byId("record").textContent = "Stop";
  byId("record").setAttribute("aria-pressed", "true");
  byId("other-sentence").disabled = true; // the text must be what is being read
}

async function stopRecording() {
  const ended = recording;
  recording = null;
  byId("record").textContent = "Record";
  byId("record").setAttribute("aria-pressed", "false");
  byId("other-sentence").disabled = false;
  byId("level").hidden = true;
  const made = await ended.stop();
  byId("file").value = "";
  byId("suggested").hidden = true;
  byId("transcript").value = byId("sentence").textContent;
  take(made);
}

function take(chosen) {
  forgetFile();
  file = chosen;
  const player = byId("recorded");
  URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(file);
  player.hidden = false;
  checkFile();
}

function form() {
  const body = new FormData();
  const add = (name, value) => value && body.append(name, value);
  add("language", byId("enrol-language").value);
  add("transcript", byId("transcript").value.trim());
  return body;
}

async function checkFile() {
  const mine = (checks += 1);
  const body = form();
  body.append("file", file);
  const response = await call("v1/voices/check", { method: "POST", body });
  if (mine !== checks) return;
  if (!response.ok) return showVerdict({ accepted: false, findings: [{ severity: "error", message: await failureOf(response) }] });
  const verdict = await response.json();
  showVerdict(verdict);
  suggest(verdict.transcript);
  // The player plays what would be used, and nothing else.
  byId("recorded").src = `${byId("recorded").src.split("#")[0]}#t=${verdict.start},${verdict.end}`;
}

// What a speech-to-text server heard; whatever the person wrote, also meanwhile, goes first.
function suggest(text) {
  const transcript = byId("transcript");
  if (!text || transcript.value.trim()) return;
  transcript.value = text;
  byId("suggested").hidden = false;
}

function showVerdict({ accepted, seconds, findings }) {
  const line = document.createElement("p");
  line.dataset.good = accepted;
  line.textContent = accepted ? `This recording can be used: ${seconds.toFixed(1)} s.` : "This recording cannot be used yet.";
  const list = document.createElement("ul");
  list.append(...findings.map(({ severity, message }) => {
    const item = document.createElement("li");
    item.dataset.severity = severity;
    item.textContent = message;
    return item;
  }));
  byId("verdict").replaceChildren(line, ...(findings.length ? [list] : []));
}

// What is missing, for a person; also where to go.
function missing() {
  const needed = [
    ["record", file, "Record something or choose a file."],
    ["transcript", byId("transcript").value.trim(), "Write down what is said in the recording."],
    ["name", (again && !asStyle) || byId("name").value.trim(), "Give it a name."],
    ["consent-name", byId("consent-name").value.trim(), "Say whose voice it is."],
    ["consent", byId("consent").checked, "The person's consent must be confirmed."],
  ];
  return needed.find(([, given]) => !given);
}

async function keep() {
  const lacking = missing();
  if (lacking) {
    byId("enrol-said").textContent = lacking[2];
    return byId(lacking[0]).focus();
  }
  byId("enrol-said").textContent = "";
  const body = form();
  if (!again || asStyle) body.append("name", byId("name").value);
  if (!again) body.append("model", byId("enrol-model").value);
  body.append("consent_name", byId("consent-name").value);
  body.append("consent", "true");
  body.append("file", file);
  const [method, address] = !again
    ? ["POST", "v1/voices"]
    : asStyle ? ["POST", `${addressOf(again)}/styles`] : ["PUT", `${addressOf(again)}/reference`];
  const response = await call(address, { method, body });
  if (!response.ok) {
    const { error, verdict } = await response.json();
    if (verdict) showVerdict(verdict);
    byId("enrol-said").textContent = `Not kept: ${error.message}`;
    return;
  }
  const { name } = await response.json();
  await showVoices();
  byId("voices-said").textContent = `${name} is kept.`;
  await closeEnrolment();
}

byId("transcript").addEventListener("input", () => {
  byId("suggested").hidden = true;
});
byId("cancel").addEventListener("click", closeEnrolment);
byId("other-sentence").addEventListener("click", () => {
  sentence += 1;
  showSentence();
});
byId("enrol-language").addEventListener("change", showSentence);
byId("file").addEventListener("change", ({ target }) => target.files[0] && take(target.files[0]));
byId("record").addEventListener("click", async ({ target }) => {
  target.disabled = true;
  try {
    await (recording ? stopRecording() : startRecording());
  } catch (error) {
    byId("enrol-said").textContent = `The microphone cannot be used: ${error.message}`;
  } finally {
    target.disabled = false;
  }
});
byId("enrol").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("keep").disabled = true;
  try {
    await keep();
  } catch (error) {
    byId("enrol-said").textContent = `Not kept: ${error.message}`;
  } finally {
    byId("keep").disabled = false;
  }
});

if (!canRecord) {
  byId("record").disabled = true;
  byId("record-hint").hidden = false;
  byId("record-hint").textContent =
    "Browsers lend the microphone to pages under https:// or on localhost only. Open this page through Home Assistant or localhost, or take a file.";
}
