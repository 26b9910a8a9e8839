/** The chat page: questions, answers, and the state of the connection. */

import { Connection } from "./connection.js";
import { choices, describe, essentials, recall, remember, setUpPanel } from "./panel.js";

const REASON = { length: "cut at the most tokens", context: "the context is full", cancelled: "stopped" };
const RETRIED = new Set(["busy", "lost", "engine", "no_model", "in_use", "value"]);

const $ = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en");
const share = (value) => `${Math.round(value * 100)} %`;
const speed = (rate) => `${rate < 10 ? rate.toFixed(1) : number(Math.round(rate))} tok/s`;
const bytes = (text) => new TextEncoder().encode(text).length;

const connection = new Connection();
/** the answer in progress, or null */
let current = null;

// ---- Light and dark -----------------------------------------------------------------------------------------------

const systemDark = matchMedia("(prefers-color-scheme: dark)");

function showTheme() {
  const theme = recall("theme");
  const dark = theme ? theme === "dark" : systemDark.matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").ariaLabel = $("theme").title = dark ? "Switch to light" : "Switch to dark";
}

$("theme").onclick = () => {
  const other = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  remember("theme", (other === "dark") === systemDark.matches ? null : other); // then it follows the system again
  showTheme();
};
systemDark.onchange = showTheme;
showTheme();

// ---- Connection ---------------------------------------------------------------------------------------------------

connection.addEventListener("state", () => {
  const { state, delay } = connection;
  if (state === "open") {
    $("trouble").hidden = true;
  } else if (state === "waiting") {
    const seconds = Math.round(delay / 1000);
    $("trouble").hidden = false;
    $("trouble-text").textContent =
      `No connection to ${location.host}. Trying again ${seconds > 1 ? `in ${seconds} seconds` : "now"}.`;
  }
  const text = state === "open" ? "connected" : $("trouble").hidden ? "connecting" : "reconnecting";
  if ($("state").textContent !== text) $("state").textContent = text;
  $("state").dataset.state = text;
});
$("reconnect").onclick = () => {
  connection.open();
  $("question").focus();
};
addEventListener("online", () => connection.open());
document.addEventListener("visibilitychange", () => document.hidden || connection.open());

connection.addEventListener("info", () => {
  const { model } = connection.info;
  const name = model && (model.title ?? model.name);
  $("model-name").textContent = name ?? "No model";
  document.title = model ? `${name} – Shrew` : "Shrew";
  $("greeting").textContent = model ? `Ask ${name}` : "No model yet";
  // The first line of a description says what the model is, the others are questions that it can answer.
  const [about, ...examples] = (model?.description ?? "").split("\n").map((line) => line.trim()).filter(Boolean);
  $("description").textContent = model ? (about ?? "") : "Upload or load one under “Model and settings”.";
  describe($("welcome-facts"), model ? essentials(model) : []);
  $("examples").replaceChildren(...examples.slice(0, 4).map((text) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.onclick = () => {
      submit({ prompt: text, ...choices() });
      $("ask").focus(); // the button disappears with the welcome
    };
    return button;
  }));
});

// ---- Asking -------------------------------------------------------------------------------------------------------

const box = $("question");

function fitBox() {
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
}

/** Why a question cannot be asked now, or "". */
function obstacle(text) {
  const limits = connection.info?.limits;
  if (current) return "One answer at a time: wait for this one, or stop it.";
  if (!text.trim()) return "Write a question first.";
  if (connection.state !== "open") return "Not connected yet. Your question stays here.";
  const size = bytes(text);
  if (size > limits?.prompt_bytes) {
    return `Too long: ${number(size)} bytes; this model takes ${number(limits.prompt_bytes)}. Shorten it.`;
  }
  return "";
}

/** Sends a question, or shows why it cannot. Returns true if it was sent. */
function submit(request, before) {
  const reason = obstacle(request.prompt);
  $("hint").textContent = reason;
  if (!reason) ask(request, before);
  return !reason;
}

$("composer").onsubmit = (event) => {
  event.preventDefault();
  if (current) return stop();
  if (submit({ prompt: box.value, ...choices() })) box.value = "";
  fitBox();
};
box.oninput = () => {
  $("hint").textContent = "";
  fitBox();
};
box.onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (current) $("hint").textContent = obstacle(box.value);
  else $("composer").requestSubmit();
};
document.addEventListener("keydown", ({ key }) => {
  const covered = $("dialog").open || document.querySelector("main").inert;
  if (key === "Escape" && current && !covered) stop();
});

function showAsk(action) {
  $("ask").textContent = action;
  $("ask").className = action.toLowerCase();
}

function stop() {
  current.cancel();
  $("hint").textContent = "Stopping…";
}

// ---- Answers ------------------------------------------------------------------------------------------------------

/** Runs an action that makes the conversation longer. Keeps its end in view if it was in view. */
function following(action) {
  const talk = $("talk");
  const atEnd = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 48;
  action();
  if (atEnd) talk.scrollTop = talk.scrollHeight;
}

/**
 * @param {object} request the fields of `generate`
 * @param {string} [before] the digest of the answer that this one repeats
 */
async function ask(request, before) {
  const article = $("exchange").content.firstElementChild.cloneNode(true);
  const part = (name) => article.querySelector(name);
  const answer = part(".answer");
  const written = part(".text").appendChild(new Text());
  let unwritten = "";

  const write = () => {
    following(() => written.appendData(unwritten));
    unwritten = "";
  };
  const wait = (text) => {
    part(".progress").textContent = text;
    $("spoken").textContent = text;
  };

  part(".question").textContent = request.prompt;
  part(".again").onclick = () => submit({ prompt: request.prompt, ...choices() });
  part(".copy").onclick = ({ target }) => copy(part(part(".text").hidden ? ".command code" : ".text"), target);
  answer.dataset.state = "waiting";
  $("welcome").hidden = true;
  $("exchanges").append(article);
  $("talk").scrollTop = $("talk").scrollHeight;
  wait("Reading the question");

  current = connection.generate(request, {
    queued: (ahead) => wait(`${ahead === 1 ? "One question is" : `${number(ahead)} questions are`} before yours`),
    text: (piece) => {
      answer.dataset.state = "writing";
      if (!unwritten) requestAnimationFrame(write);
      unwritten += piece;
    },
  });
  showAsk("Stop");
  try {
    const done = await current.done;
    write();
    answer.dataset.state = "done";
    following(() => showOutcome(part, done, before));
    part(".again").onclick = () => submit({ ...request, seed: done.seed }, done.digest);
    $("spoken").textContent = done.command && done.reason !== "refused" ? part(".command").textContent : written.data;
  } catch (refusal) {
    write();
    answer.dataset.state = "failed";
    following(() => showFailure(part, refusal));
    $("spoken").textContent = part(".failure").textContent;
    if (!refusal.code) throw refusal;
  } finally {
    current = null;
    showAsk("Ask");
    $("hint").textContent = "";
  }
}

function showOutcome(part, done, before) {
  const same = done.digest === before ? ", as before" : ` – before it was ${before}`;
  const refused = done.reason === "refused";
  const source = done.from_memory
    ? [refused ? `nothing near it is known: ${share(done.confidence)}` : `from memory, ${share(done.confidence)} sure`]
    : [
        `${number(done.tokens)} tokens at ${speed(done.tok_per_s)}`,
        `question of ${number(done.prompt_tokens)} at ${speed(done.prompt_tok_per_s)}`,
        `seed ${done.seed}`,
      ];
  const facts = [
    REASON[done.reason],
    ...source,
    `digest ${done.digest}${before ? same : ""}`,
  ];
  part(".facts").replaceChildren(...facts.filter(Boolean).map((fact) => {
    const item = document.createElement("li");
    item.textContent = fact;
    return item;
  }));
  part("footer").hidden = false;
  if (!done.command) return;
  part(".command").hidden = false;
  part(".command").classList.toggle("refused", refused);
  part(".command .verb").textContent = refused ? "Not done, not sure enough" : "Do";
  part(".command code").textContent = done.command;
  part(".command progress").value = done.confidence;
  part(".command .share").textContent = `${share(done.confidence)} sure`;
  part(".text").hidden = !refused;
}

function showFailure(part, refusal) {
  part(".failure").hidden = false;
  part(".failure .help").textContent = refusal.help;
  part(".failure .said").textContent = refusal.message;
  part("footer").hidden = !RETRIED.has(refusal.code);
  part(".copy").hidden = true;
  part(".again").textContent = "Try again";
}

/** Copies an element's text. The Clipboard API is missing on plain HTTP, which devices use. */
async function copy(element, button) {
  let copied = await navigator.clipboard?.writeText(element.textContent).then(() => true, () => false);
  if (!copied) {
    getSelection().selectAllChildren(element);
    copied = document.execCommand("copy");
  }
  button.textContent = $("spoken").textContent = copied ? "Copied" : "Selected: press Ctrl+C";
  setTimeout(() => (button.textContent = "Copy"), 2000);
}

setUpPanel(connection);
connection.open();
