// The model that comes in the package: one press installs it, enrols its voice, and speaks in it.
import { byId, call, failureOf, showVoices } from "./app.js";
import { showModels } from "./models.js";

const VOICE = "demo";
const LOOK_MS = 300;

async function ask(path, options) {
  const response = await call(path, options);
  if (!response.ok) throw new Error(await failureOf(response));
  return response.json();
}

async function until(path, ended) {
  for (;;) {
    const answer = await ask(path);
    if (ended(answer)) return answer;
    await new Promise((go) => { setTimeout(go, LOOK_MS); });
  }
}

async function hear() {
  byId("result").textContent = "Unpacking the model…";
  const { id } = await ask("v1/models", { method: "POST", body: JSON.stringify({ source: "box" }) });
  showModels();
  const job = await until(`v1/models/jobs/${id}`, ({ state }) => ["done", "failed", "cancelled"].includes(state));
  if (job.state !== "done") throw new Error(job.message);
  byId("result").textContent = "Loading the model…";
  // Until it is in memory the plain voice would stand in.
  const model = await until(`v1/models/${encodeURIComponent(job.model)}`, ({ state }) => state !== "loading");
  if (model.state === "failed") throw new Error(model.reason);
  await showVoices();
  byId("voice").value = VOICE;
  byId("speak").requestSubmit();
}

byId("install-box").addEventListener("click", async () => {
  byId("install-box").disabled = true;
  try {
    await hear();
  } catch (error) {
    byId("result").textContent = `Not installed: ${error.message}`;
  } finally {
    byId("install-box").disabled = false;
    showModels();
  }
});
