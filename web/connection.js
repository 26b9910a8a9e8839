/**
 * The client side of the chat protocol (docs/PROTOCOL.md). Knows nothing of the page.
 *
 *   const connection = new Connection();
 *   connection.addEventListener("info", () => show(connection.info));
 *   connection.open();
 *   const answer = connection.generate({ prompt: "how do i open the gate?" }, { text: (piece) => show(piece) });
 *   const { tok_per_s, digest } = await answer.done; // or a Refusal
 */

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;
const OPENING_MS = 8_000; // a device that is off does not refuse a connection: it does not respond at all
const SILENCE_MS = 20_000; // after this long without a message: ask for one,
const PATIENCE_MS = 10_000; // and give up the connection if none comes

/** What a person can do about each error code. The server's own line says what was wrong. */
const HELP = {
  json: "Page and server do not understand each other; they may be of different versions. Reload the page.",
  value: "A setting is out of its range. Correct it, or go back to the defaults.",
  prompt: "The model cannot take this question. Make it shorter, or leave out unusual characters.",
  size: "That is more than this server takes. Make it smaller.",
  busy: "Too many questions are waiting. Try again in a moment.",
  token: "That is not the token. The device shows it on its console, shrew serve at its start.",
  origin: "This page was opened through another name. Open it by the address that the device shows on its console.",
  not_found: "It is not there any more. The list has been read again.",
  in_use: "The model is answering, or another upload is under way. Try again when that is over.",
  name: "A name is 1 to 32 of the characters a-z A-Z 0-9 . _ - and does not begin with a dot.",
  image: "The file is not a model that this engine can use. Make it again with shrew quantize.",
  no_model: "No model is loaded. Load or upload one under “Model and settings”.",
  engine: "The engine stopped with an error. If it happens again, the model is damaged: upload it again.",
  timeout: "The upload stopped on its way. Go nearer to the device and try again.",
  lost: "The connection ended before the answer did.",
  network: "The server did not answer. Is it on, and are you in its network?",
};
for (const code of ["message", "id", "frame", "method", "length"]) HELP[code] = HELP.json;

/** A refused request. `help` says what to do; `message` is the server's description of the error. */
export class Refusal extends Error {
  constructor(code, message = "") {
    super(message);
    this.code = code;
    this.help = HELP[code] ?? "That did not work.";
  }
}

/** A WebSocket that reconnects automatically. Events: `state`, `info`. */
export class Connection extends EventTarget {
  /** "connecting", "open", or "waiting" for the next attempt in `delay` milliseconds */
  state = "connecting";
  delay = 0;
  /** the last `info` of the server, or null */
  info = null;

  #socket = null;
  #failures = 0;
  #timer = 0;
  #lastId = 0;
  #unanswered = new Map();

  /** Connects immediately, even if the next attempt was scheduled for later. */
  open() {
    if (this.#socket) return;
    const address = new URL("ws", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    this.#socket = socket;
    socket.onopen = () => this.#opened();
    socket.onclose = () => this.#lost(socket);
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    this.#after(OPENING_MS, () => this.#lost(socket));
    this.#change("connecting");
  }

  /**
   * Asks; `done` resolves with the message of that name and rejects with a Refusal.
   * @param {object} request the fields of `generate` except the id
   * @param {{queued?: (ahead: number) => void, text?: (piece: string) => void}} listeners
   */
  generate(request, listeners) {
    const id = ++this.#lastId;
    const done = new Promise((resolve, reject) => this.#unanswered.set(id, { ...listeners, resolve, reject }));
    this.#send({ type: "generate", id, ...request });
    return { done, cancel: () => this.#send({ type: "cancel", id }) };
  }

  refresh() {
    this.#send({ type: "info" });
  }

  #send(message) {
    if (this.state === "open") this.#socket.send(JSON.stringify(message));
  }

  #receive(message) {
    this.#watch();
    if (message.type === "info") {
      this.#failures = 0;
      this.info = message;
      this.dispatchEvent(new Event("info"));
      return;
    }
    const request = this.#unanswered.get(message.id);
    if (message.type === "queued") request?.queued?.(message.ahead);
    if (message.type === "token") request?.text?.(message.text);
    if (message.type === "done") request?.resolve(message);
    if (message.type === "error") request?.reject(new Refusal(message.code, message.message));
    if (message.type === "done" || message.type === "error") this.#unanswered.delete(message.id);
  }

  #opened() {
    this.#change("open");
    this.refresh();
    this.#watch();
  }

  /** Wi-Fi can lose a connection silently, so after a silence this asks for a message. */
  #watch() {
    const socket = this.#socket;
    this.#after(SILENCE_MS, () => {
      this.refresh();
      this.#after(PATIENCE_MS, () => this.#lost(socket));
    });
  }

  #lost(socket) {
    if (socket !== this.#socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.#socket = null;
    const delay = Math.min(FIRST_DELAY_MS * 2 ** this.#failures++, LONGEST_DELAY_MS);
    this.delay = delay * (0.75 + Math.random() / 2); // so that many pages do not reconnect at the same moment
    this.#after(this.delay, () => this.open());
    this.#change("waiting");
    for (const { reject } of this.#unanswered.values()) reject(new Refusal("lost"));
    this.#unanswered.clear();
  }

  #after(delay, action) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(action, delay);
  }

  #change(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}

/**
 * One HTTP request. Not fetch, which cannot report the progress of an upload.
 * @param {{token?: string, body?: Blob | object, progress?: (share: number) => void, signal?: AbortSignal}} options
 */
export function call(method, path, { token, body, progress, signal } = {}) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const request = new XMLHttpRequest();
    request.open(method, path);
    if (token) request.setRequestHeader("Authorization", `Bearer ${token}`);
    if (progress) request.upload.onprogress = ({ loaded, total }) => progress(loaded / total);
    request.onload = () => {
      if (request.status < 300) return resolve();
      try {
        const { error } = JSON.parse(request.responseText);
        reject(new Refusal(error.code, error.message));
      } catch {
        reject(new Refusal("network", `HTTP status ${request.status}`));
      }
    };
    request.onerror = () => reject(new Refusal("network"));
    request.onabort = () => reject(signal.reason);
    signal?.addEventListener("abort", () => request.abort());
    if (body && !(body instanceof Blob)) {
      request.setRequestHeader("Content-Type", "application/json");
      body = JSON.stringify(body);
    }
    request.send(body);
  });
}
