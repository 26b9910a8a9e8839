/** The panel “Model and settings”: facts about the server, and its settings. Changing the server needs its token. */

import { call } from "./connection.js";

const MEGABYTE = 1024 * 1024;
const SELFTEST = { passed: "passed", failed: "failed", absent: "none in it" };
const PLACE = { flash: "in flash", sd: "on the SD card", file: "a file" };
const WIFI = { ap: "a network of its own", station: "has joined" };

const $ = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en");

/** A value that this browser has stored, or null. */
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(`shrew.${name}`));
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(`shrew.${name}`);
    else localStorage.setItem(`shrew.${name}`, JSON.stringify(value));
  } catch {
    // the page asks for it again
  }
}

/** Fills a description list. Pairs without a value are left out. */
export function describe(list, pairs) {
  list.replaceChildren(
    ...pairs
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => {
        const pair = document.createElement("div");
        pair.append(document.createElement("dt"), document.createElement("dd"));
        pair.firstChild.textContent = name;
        pair.lastChild.textContent = value;
        return pair;
      }),
  );
}

/** The four most important facts about a model. */
export function essentials(model) {
  return [
    ["bytes", number(model.bytes)],
    ["parameters", number(model.parameters)],
    ["tokens of context", number(model.context)],
    ["self-test", SELFTEST[model.selftest]],
  ];
}

function size(bytes) {
  return bytes < MEGABYTE ? `${(bytes / 1024).toPrecision(3)} KB` : `${(bytes / MEGABYTE).toPrecision(3)} MB`;
}

function duration(seconds) {
  const [days, hours, minutes] = [seconds / 86400, (seconds / 3600) % 24, (seconds / 60) % 60].map(Math.floor);
  return `${days ? `${days} d ` : ""}${days || hours ? `${hours} h ` : ""}${minutes} min`;
}

/** Options that a person set instead of the server's defaults, named as in `generate`. */
let chosen = recall("settings") ?? {};

export function choices() {
  return { ...chosen };
}

/** @param {import("./connection.js").Connection} connection */
export function setUpPanel(connection) {
  setUpOpening();
  setUpSettings(connection);
  setUpModels(connection);
  setUpWifi(connection);
  $("token-forget").onclick = () => keepToken(null);
  keepToken(tokenOfAddress() ?? recall("token"));
  connection.addEventListener("info", () => showFacts(connection.info));
}

// ---- Opening and closing: a column beside the conversation, or a sheet above it -----------------------------------

function setUpOpening() {
  const panel = $("panel");
  const button = $("panel-button");
  const wide = matchMedia("(min-width: 68rem)");
  const show = (open) => {
    panel.hidden = !open;
    button.setAttribute("aria-expanded", open);
    for (const rest of document.querySelectorAll("header, main")) rest.inert = open && !wide.matches;
  };
  const close = () => {
    show(false);
    if (wide.matches) remember("panel", "closed");
    button.focus();
  };
  button.onclick = () => {
    if (!panel.hidden) return close();
    show(true);
    remember("panel", null);
    panel.focus();
  };
  $("panel-close").onclick = close;
  panel.onkeydown = ({ key }) => {
    if (key === "Escape" && !wide.matches) close();
  };
  document.body.onclick = ({ target }) => {
    if (target === document.body && !panel.hidden && !wide.matches) close(); // outside the sheet
  };
  const fit = () => show(wide.matches && recall("panel") !== "closed");
  wide.onchange = fit;
  fit();
}

// ---- Facts --------------------------------------------------------------------------------------------------------

function showFacts({ model, device, version, uptime_s, requests, memory, wifi }) {
  for (const notice of document.querySelectorAll(".notice")) {
    notice.hidden = model?.selftest !== "failed";
    notice.textContent =
      "The self-test failed: this device computes other tokens than the model's maker saw. Do not rely on its answers.";
  }
  describe($("model-facts"), model ? [
    ["Name", model.title ?? model.name],
    ["Size", `${number(model.bytes)} bytes`],
    ["Parameters", number(model.parameters)],
    ["Shape", `${model.layers} layers of ${model.dim}`],
    ["Vocabulary", number(model.vocab)],
    ["Context", `${number(model.context)} tokens`],
    ["Self-test", SELFTEST[model.selftest]],
    ["Commands", model.commands ? "yes" : null],
    ["Licence", model.licence],
    ["Checksum", model.crc32],
  ] : [["Name", "none loaded"]]);
  describe($("device-facts"), [
    ["Device", device],
    ["Shrew", version],
    ["Running for", duration(uptime_s)],
    ["Answered", number(requests)],
    ...Object.entries(memory ?? {}).map(([kind, bytes]) => [`Memory: ${kind}`, size(bytes)]),
  ]);
  $("wifi").hidden = !wifi;
  if (wifi) describe($("wifi-facts"), [["Mode", WIFI[wifi.mode]], ["Network", wifi.ssid], ["Address", wifi.address]]);
}

// ---- The token and the dialogue ---------------------------------------------------------------------------------

/** A question with two answers; with `secret` it also asks for a token. Returns "yes" or the token, or "" for no. */
async function question(title, text, action, secret = false) {
  const dialog = $("dialog");
  dialog.firstElementChild.reset();
  $("dialog-title").textContent = title;
  $("dialog-text").textContent = text;
  $("dialog-yes").textContent = action;
  $("dialog-token").hidden = !secret;
  $("token").required = secret;
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((closed) => (dialog.onclose = closed));
  return dialog.returnValue && secret ? $("token").value.trim() : dialog.returnValue;
}

function keepToken(token) {
  remember("token", token);
  $("token-forget").hidden = token === null;
}

/** `shrew serve` opens the page with #token=…, which is removed from the address at once. */
function tokenOfAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) history.replaceState(null, "", location.pathname);
  return token;
}

/** Runs an action that needs the token. Asks for the token until it is right; returns false if it was not given. */
async function withToken(action) {
  let text = "The device shows it on its console, shrew serve when it starts. This browser keeps it.";
  for (;;) {
    const token = recall("token") ?? (await question("This needs the token", text, "Go on", true));
    if (!token) return false;
    keepToken(token);
    try {
      await action(token);
      return true;
    } catch (refusal) {
      if (refusal.code !== "token") throw refusal;
      keepToken(null);
      text = refusal.help;
    }
  }
}

/** Runs an action and shows an error in `place`. */
async function attempt(place, action) {
  place.textContent = "";
  try {
    return await action();
  } catch (refusal) {
    if (refusal.name !== "AbortError") place.textContent = [refusal.help, refusal.message].filter(Boolean).join(" ");
    if (!refusal.help && refusal.name !== "AbortError") throw refusal;
    return false;
  }
}

// ---- Settings ---------------------------------------------------------------------------------------------------

function setUpSettings(connection) {
  const form = $("settings");
  const problem = $("settings-problem");
  const fields = [...form.querySelectorAll("input")];

  const show = () => {
    const defaults = connection.info?.defaults ?? {};
    for (const field of fields) {
      const own = field.name in chosen;
      const value = own ? chosen[field.name] : defaults[field.name];
      const output = form.querySelector(`output[for=${field.name}]`);
      if (field.type === "checkbox") field.checked = Boolean(value);
      else if (field !== document.activeElement || field.type === "range") {
        field.value = field.name === "max_tokens" && !value ? "" : (value ?? "");
      }
      field.setAttribute("aria-invalid", !field.checkValidity());
      if (output && value !== undefined) output.textContent = `${value.toFixed(2)}${own ? "" : " (default)"}`;
    }
    $("settings-reset").hidden = !Object.keys(chosen).length;
    $("settings-keep").hidden = !fields.some(({ name }) => name in chosen && name in defaults);
  };
  const choose = (changed) => {
    chosen = changed;
    remember("settings", chosen);
    show();
  };

  form.oninput = ({ target: field }) => {
    const valid = field.checkValidity();
    const name = field.labels[0].textContent;
    problem.textContent = valid
      ? ""
      : `${name}: whole numbers from ${field.min} to ${number(Number(field.max))}. The last one holds.`;
    (valid ? form : field.parentElement).append(problem);
    if (!valid) return show();
    const { [field.name]: _, ...rest } = chosen;
    const value = field.type === "checkbox" ? field.checked || "" : field.value && Number(field.value);
    choose(value === "" || value === connection.info?.defaults[field.name] ? rest : { ...rest, [field.name]: value });
  };
  form.onsubmit = (event) => event.preventDefault();
  form.onreset = (event) => {
    event.preventDefault();
    problem.textContent = "";
    choose({});
  };
  $("settings-keep").onclick = () =>
    attempt(problem, async () => {
      const { seed, raw, ...defaults } = chosen;
      if (await withToken((token) => call("PUT", "api/settings", { token, body: defaults }))) {
        choose({ ...(seed !== undefined && { seed }), ...(raw && { raw }) });
      }
    });
  connection.addEventListener("info", show);
  show();
}

// ---- Stored models ------------------------------------------------------------------------------------------------

function setUpModels(connection) {
  const problem = $("models-problem");
  let shown = "";

  /** Sends a request about a stored model. Reads the list again whether or not it succeeds. */
  const change = (method, name, ending = "", options = {}) =>
    attempt(problem, async () => {
      try {
        const path = `api/models/${encodeURIComponent(name)}${ending}`;
        return await withToken(async (token) => {
          // Finds a wrong token before megabytes are sent.
          if (options.body) await call("PUT", "api/settings", { token, body: {}, signal: options.signal });
          await call(method, path, { ...options, token });
        });
      } finally {
        connection.refresh();
      }
    });

  const load = async (name, button) => {
    if (button) button.textContent = "Loading…";
    await change("POST", name, "/load");
    if (button) button.textContent = "Load";
  };
  const remove = async (name) => {
    if (await question("Delete this model?", `${name} is removed from the device for good.`, "Delete")) {
      await change("DELETE", name);
    }
  };

  connection.addEventListener("info", () => {
    const { models } = connection.info;
    if (shown === JSON.stringify(models)) return; // so that a button keeps the focus
    shown = JSON.stringify(models);
    const list = $("models");
    const focused = list.contains(document.activeElement);
    list.replaceChildren(...models.map(({ name, bytes, place, active }) => {
      const row = $("stored-model").content.firstElementChild.cloneNode(true);
      row.querySelector(".name").textContent = name;
      const facts = [size(bytes), PLACE[place] ?? place, ...(active ? ["answers now"] : [])];
      row.querySelector(".size").textContent = facts.join(", ");
      row.classList.toggle("active", active);
      row.querySelector(".row").hidden = active;
      row.querySelector(".delete").hidden = place === "sd"; // the device does not write to cards
      for (const [button, action] of [[row.querySelector(".load"), load], [row.querySelector(".delete"), remove]]) {
        button.setAttribute("aria-label", `${button.textContent} ${name}`);
        button.onclick = () => action(name, button);
      }
      return row;
    }));
    if (focused) list.focus();
  });
  setUpUpload(connection, change, load);
}

function setUpUpload(connection, change, load) {
  const problem = $("models-problem");
  const file = $("file");
  const name = $("upload-name");
  const progress = $("upload-progress");
  let ending = null;

  const clear = () => {
    ending?.abort();
    if ($("upload-form").contains(document.activeElement)) file.focus();
    file.value = "";
    $("upload-form").hidden = progress.hidden = true;
  };
  $("upload-cancel").onclick = clear;

  file.onchange = async () => {
    problem.textContent = "";
    const [image] = file.files;
    if (!image) return;
    const most = connection.info?.limits.upload_bytes ?? Infinity;
    const begins = await image.slice(0, 4).text();
    if (begins !== "SHRW") problem.textContent = `${image.name} is no model image. Make one with shrew quantize.`;
    if (image.size > most) {
      problem.textContent = `${image.name} has ${size(image.size)}; at most ${size(most)} fit here.`;
    }
    if (problem.textContent) return clear();
    const stem = image.name.replace(/\.bin$/i, "").replace(/[^a-zA-Z0-9._-]+/g, "-");
    name.value = stem.replace(/^[.-]+/, "").slice(0, 32);
    $("upload-about").textContent = `${image.name}, ${size(image.size)}`;
    $("upload-form").hidden = false;
    name.focus();
  };

  $("upload").onsubmit = async (event) => {
    event.preventDefault();
    if (ending) return;
    const [image] = file.files;
    const { value: target } = name;
    const stored = connection.info?.models.some((model) => model.name === target);
    if (stored && !(await question("Replace this model?", `${target} is there already.`, "Replace"))) return;
    const show = (share) => {
      progress.firstElementChild.value = share;
      progress.lastElementChild.textContent =
        share < 1 ? `${Math.floor(share * 100)} % of ${size(image.size)}` : "Checking the model…";
    };
    progress.hidden = false;
    show(0);
    ending = new AbortController();
    file.disabled = true; // until the upload of this file has ended
    const done = await change("PUT", target, "", { body: image, progress: show, signal: ending.signal });
    file.disabled = false;
    ending = null;
    progress.hidden = true;
    if (!done) return;
    clear();
    if ($("upload-load").checked) await load(target);
  };
}

// ---- Wi-Fi --------------------------------------------------------------------------------------------------------

function setUpWifi(connection) {
  const problem = $("wifi-problem");
  const join = (ssid, password) =>
    attempt(problem, async () => {
      if (!(await withToken((token) => call("PUT", "api/wifi", { token, body: { ssid, password } })))) return;
      problem.textContent = ssid ? `The device joins ${ssid}.` : "The device has forgotten its network.";
      $("wifi-form").reset();
      connection.refresh();
    });
  $("wifi-form").onsubmit = (event) => {
    event.preventDefault();
    join($("ssid").value, $("password").value);
  };
  $("wifi-forget").onclick = () => join("", "");
}
