/**
 * Shrew in a browser or in Node.
 *
 *   const model = await Model.open(await load(fetch("shrew.wasm")), imageBytes);
 *   const session = model.session();
 *   for await (const { text } of session.generate("how do i open the gate?")) show(text);
 *
 * A model is a validated image; a session is one conversation with it. The same image, prompt, options and seed give
 * the same tokens as on any other target. What the engine refuses is a ShrewError that says why.
 */

const PAGE = 65536;
const BLOCK = 4096; // memory goes out in multiples of this, so that blocks of nearly one size can serve each other
const SLICE_MS = 12; // longest computation between two chances for the page to react

/** Numbers in `results` of exports.c. */
const RESULTS = 14;
const FINISH = Object.freeze(["running", "end", "stop", "length", "context", "refused"]);
const CACHES = Object.freeze(["auto", "f32", "int8"]);
const NO_TOKEN = 0xffff;
const E_MEMORY = -2;
const CONFIG = "dim layers heads kvHeads headDim ffn vocab context norm position mlp flags".split(" ");

export class ShrewError extends Error {
  /**
   * @param {string} message
   * @param {number} status a shrew_status of engine/include/shrew.h
   */
  constructor(message, status) {
    super(message);
    this.name = "ShrewError";
    this.status = status;
  }
}

/**
 * Compiles the engine, once for any number of models.
 * @param {BufferSource | Response | PromiseLike<Response>} wasm shrew.wasm, as bytes or as it comes from fetch
 * @returns {Promise<WebAssembly.Module>}
 */
export async function load(wasm) {
  const source = await wasm;
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return WebAssembly.compile(source);
  if (!source.ok) throw new Error(`${source.url}: ${source.status} ${source.statusText}`);
  return WebAssembly.compile(await source.arrayBuffer());
}

/**
 * @typedef {object} SessionOptions
 * @property {number} [context] tokens to hold; 0: as many as the model can
 * @property {number} [block] prompt tokens processed together; 0: 8
 * @property {number} [draft] most tokens to guess ahead from repetitions of the text; changes speed, never the text
 * @property {"auto" | "f32" | "int8"} [cache] how keys and values are held
 *
 * @typedef {object} GenerateOptions
 * @property {boolean} [raw] continue the prompt as it is instead of framing it as a question
 * @property {boolean} [keep] go on with what the session holds instead of forgetting it
 * @property {number} [maxTokens] 0: as many as fit
 * @property {number | bigint} [seed]
 * @property {number} [temperature] 0 takes the likeliest token; above 1 makes unlikely ones likelier
 * @property {number} [topP] keep the likeliest tokens that together reach this probability; 1 keeps all
 * @property {number} [topK] keep this many of the likeliest tokens; 0 keeps all
 * @property {number} [minP] keep tokens at least this likely relative to the likeliest; 0 keeps all
 * @property {number} [repetitionPenalty] divides the logits of tokens already seen; 1 changes nothing
 * @property {string[]} [stop] strings that end the text and are not part of it
 * @property {(text: string) => void} [onText] called with each piece of text
 * @property {AbortSignal} [signal] ends the generation with the signal's reason
 *
 * @typedef {object} Progress one step: a block of the prompt, or a token
 * @property {string} text whole characters, possibly none
 * @property {"running" | "end" | "stop" | "length" | "context" | "refused"} finish
 * @property {number | null} token its id
 * @property {number} tokens generated so far
 * @property {number} promptTokens prompt tokens processed so far
 * @property {number} promptTotal of this many
 * @property {number} digest CRC-32 of the ids generated so far
 * @property {number} drafted tokens guessed ahead so far
 * @property {number} accepted and how many of them came out right
 * @property {number} confidence of a command that the model writes: the probability of what it is so far; of what the
 *   image's memory says: how near the question comes to one that it knows, 0 to 1; else 0
 * @property {boolean} fromMemory the image's memory answers or refuses, and the model reads nothing
 * @property {string | null} command what it commands, at its end; with the finish "refused", what is not to be done
 * @property {number} tokensPerSecond generated so far, by the time spent on them
 */

/** An instance of the module and its memory. */
class Engine {
  #exports;
  #top;
  /** @type {{ address: number, bytes: number }[]} */
  #free = [];

  /** @param {WebAssembly.Instance} instance */
  constructor(instance) {
    this.#exports = instance.exports;
    this.#top = Math.ceil(this.#exports.__heap_base.value / BLOCK) * BLOCK;
  }

  /** Calls a function of exports.c that returns a status. Returns what it left in `results`. */
  call(what, name, ...numbers) {
    const status = this.#exports[name](...numbers);
    if (status < 0) throw new ShrewError(`${what}: ${this.#statusText(status)}`, status);
    return this.results();
  }

  results() {
    return new Uint32Array(this.#exports.memory.buffer, this.#exports.results(), RESULTS);
  }

  #statusText(status) {
    return this.#string(this.#exports.status_text(status));
  }

  #string(address) {
    return this.text(address, new Uint8Array(this.#exports.memory.buffer).indexOf(0, address) - address);
  }

  /** Tells the engine how the next generation chooses its tokens; what `options` do not say gets its default. */
  setSampling(options) {
    for (let index = 0; this.#exports.sampling_option(index) === 0; index++) {
      const [name, isInteger, standard, address] = this.results();
      const key = this.#string(name).replace(/_(.)/g, (_, letter) => letter.toUpperCase());
      const bits = new Uint32Array([standard]);
      if (options[key] !== undefined && isInteger) bits[0] = count(key, options[key]);
      else if (options[key] !== undefined) new Float32Array(bits.buffer)[0] = options[key];
      this.write(address, new Uint8Array(bits.buffer));
    }
  }

  position(session) {
    return this.#exports.position(session);
  }

  *metadata() {
    for (let index = 0; this.#exports.metadata(index) === 0; index++) {
      const [key, keyBytes, value, valueBytes] = this.results();
      yield [this.text(key, keyBytes), this.text(value, valueBytes)];
    }
  }

  /** The tensors that a configuration implies. */
  *tensors(config) {
    const [tensors] = this.call("model", "shape", ...CONFIG.map((name) => count(name, config[name])));
    for (let index = 0; index < tensors; index++) {
      const [name, role, layer, rows, cols, isVector] = this.call("model", "shape_tensor", index);
      yield { name: this.#string(name), role, layer, rows, cols, isVector: isVector === 1 };
    }
  }

  text(address, bytes) {
    return new TextDecoder().decode(new Uint8Array(this.#exports.memory.buffer, address, bytes));
  }

  write(address, bytes) {
    new Uint8Array(this.#exports.memory.buffer).set(bytes, address);
  }

  /** The smallest free block of memory that is large enough, or a new one. */
  take(bytes) {
    const fitting = this.#free.filter((block) => block.bytes >= bytes).sort((a, b) => a.bytes - b.bytes)[0];
    if (fitting) {
      this.#free.splice(this.#free.indexOf(fitting), 1);
      return fitting;
    }
    const block = { address: this.#top, bytes: Math.ceil(bytes / BLOCK) * BLOCK };
    const missing = block.address + block.bytes - this.#exports.memory.buffer.byteLength;
    if (missing > 0) this.#grow(missing);
    this.#top += block.bytes;
    return block;
  }

  #grow(bytes) {
    try {
      this.#exports.memory.grow(Math.ceil(bytes / PAGE));
    } catch {
      throw new ShrewError(`memory: there are no ${bytes} bytes more to be had here`, E_MEMORY);
    }
  }

  give(block) {
    this.#free.push(block);
  }
}

/**
 * The tensors that a model has, in the order in which an image stores them.
 * @param {WebAssembly.Module} module from {@link load}
 * @param {object} config the numbers of shrew_config, as in `Model.config`
 * @returns {Promise<{ name: string, role: number, layer: number, rows: number, cols: number, isVector: boolean }[]>}
 */
export async function shape(module, config) {
  return [...(await instance(module)).tensors(config)];
}

async function instance(module) {
  return new Engine(await WebAssembly.instantiate(module, { host: { line() {} } }));
}

/** One image, validated. It lives in memory of its own, which goes when the model and its sessions do. */
export class Model {
  #engine;

  /**
   * @param {WebAssembly.Module} module from {@link load}
   * @param {BufferSource} image model.bin; it is copied
   * @returns {Promise<Model>}
   */
  static async open(module, image) {
    const engine = await instance(module);
    const bytes = ArrayBuffer.isView(image)
      ? new Uint8Array(image.buffer, image.byteOffset, image.byteLength)
      : new Uint8Array(image);
    return new Model(engine, bytes);
  }

  /** @private */
  constructor(engine, image) {
    const { address } = engine.take(image.length);
    engine.write(address, image);
    const fields = engine.call("model image", "open_model", address, image.length);
    this.#engine = engine;
    /** The numbers of shrew_config. */
    this.config = Object.freeze(Object.fromEntries(CONFIG.map((name, i) => [name, fields[i]])));
    /** Keys and values in the order of the image; a key may occur several times. */
    this.metadata = Object.freeze([...engine.metadata()]);
  }

  /**
   * Bytes of memory that a session takes.
   * @param {SessionOptions} [options]
   */
  sessionBytes(options = {}) {
    return this.#engine.call("session", "session_bytes", ...sessionNumbers(options))[0];
  }

  /**
   * A new conversation. Its memory serves again after {@link Session.free}.
   * @param {SessionOptions} [options]
   */
  session(options = {}) {
    return new Session(this.#engine, this.sessionBytes(options), sessionNumbers(options));
  }
}

/** One conversation, with one generation at a time. Made by {@link Model.session}. */
export class Session {
  #engine;
  #memory;
  #session;
  #turn = 0;

  /** @private */
  constructor(engine, bytes, numbers) {
    this.#engine = engine;
    this.#memory = engine.take(bytes);
    this.#session = engine.call("session", "open_session", this.#memory.address, bytes, ...numbers)[0];
  }

  /** Tokens held. */
  get position() {
    return this.#engine.position(this.#open());
  }

  /** Forgets all tokens. */
  reset() {
    this.#turn++;
    this.#engine.call("session", "reset", this.#open());
  }

  /** Runs the image's self-test; false where it has none. A ShrewError says that the tokens differ. */
  selftest() {
    this.#turn++;
    return this.#engine.call("self-test", "selftest", this.#open())[0] === 1;
  }

  /** Gives the memory back. The session cannot be used any more. */
  free() {
    if (this.#memory) this.#engine.give(this.#memory);
    this.#memory = null;
    this.#turn++;
  }

  /**
   * Generates text, step by step. Leaving the loop early is fine.
   * @param {string} prompt
   * @param {GenerateOptions} [options]
   * @returns {AsyncGenerator<Progress, void, void>}
   */
  async *generate(prompt, options = {}) {
    options.signal?.throwIfAborted();
    const turn = ++this.#turn;
    const stops = this.#begin(prompt, options);
    try {
      let spent = 0;
      let pause = performance.now() + SLICE_MS;
      for (let finish = "running"; finish === "running"; ) {
        const start = performance.now();
        const progress = this.#next();
        if (progress.tokens) spent += performance.now() - start;
        progress.tokensPerSecond = spent ? (1000 * progress.tokens) / spent : 0;
        finish = progress.finish;
        if (progress.text) options.onText?.(progress.text);
        yield progress;
        if (performance.now() > pause) {
          await otherWork();
          pause = performance.now() + SLICE_MS;
        }
        options.signal?.throwIfAborted();
        if (turn !== this.#turn && finish === "running") throw new Error("the session was used for something else");
      }
    } finally {
      this.#engine.give(stops);
    }
  }

  /**
   * Generates a whole text.
   * @param {string} prompt
   * @param {GenerateOptions} [options]
   * @returns {Promise<Progress>} the last step, with all of the text
   */
  async answer(prompt, options) {
    let text = "";
    let last;
    for await (last of this.generate(prompt, options)) text += last.text;
    return { ...last, text };
  }

  /** Gives the engine the prompt and the stop strings; the memory in which these must stay until the end. */
  #begin(prompt, options) {
    const { raw = false, keep = false, maxTokens = 0, seed = 0, stop = [] } = options;
    const session = this.#open();
    const encoder = new TextEncoder();
    const text = encoder.encode(prompt);
    const strings = stop.map((string) => encoder.encode(`${string}\0`));
    const size = strings.reduce((sum, string) => sum + string.length, 4 * strings.length + text.length);
    const place = this.#engine.take(size);
    let end = place.address + 4 * strings.length;
    const addresses = strings.map((string) => {
      this.#engine.write(end, string);
      return (end += string.length) - string.length;
    });
    this.#engine.write(place.address, new Uint8Array(new Uint32Array(addresses).buffer));
    this.#engine.write(end, text);
    try {
      this.#engine.setSampling(options);
      this.#engine.call(
        ...["prompt", "begin", session, end, text.length, place.address, strings.length, raw, keep],
        ...[count("maxTokens", maxTokens), BigInt.asUintN(64, BigInt(seed))],
      );
    } catch (error) {
      this.#engine.give(place);
      throw error;
    }
    return place;
  }

  /** @returns {Progress} */
  #next() {
    const results = this.#engine.call("generation", "next", this.#open());
    const [text, textBytes, finish, promptTokens, promptTotal, tokens, digest, token, drafted, accepted] = results;
    const [confidence, command, commandBytes, fromMemory] = results.slice(10);
    return {
      text: this.#engine.text(text, textBytes),
      finish: FINISH[finish],
      token: token === NO_TOKEN ? null : token,
      tokens,
      promptTokens,
      promptTotal,
      digest,
      drafted,
      accepted,
      confidence: new Float32Array(new Uint32Array([confidence]).buffer)[0],
      fromMemory: fromMemory === 1,
      command: command ? this.#engine.text(command, commandBytes) : null,
      tokensPerSecond: 0,
    };
  }

  #open() {
    if (!this.#memory) throw new Error("this session has been freed");
    return this.#session;
  }
}

/** Session options as the functions of exports.c take them. */
function sessionNumbers({ context = 0, block = 0, draft = 0, cache = "auto" }) {
  if (!CACHES.includes(cache)) throw new RangeError(`cache is ${cache}, must be one of ${CACHES.join(", ")}`);
  return [count("context", context), count("block", block), count("draft", draft), CACHES.indexOf(cache)];
}

/** A count as the engine takes it: JavaScript would turn anything else into some number without a word. */
function count(name, value) {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff)
    throw new RangeError(`${name} is ${value}, must be an integer of at least 0`);
  return value;
}

/** Lets the page, or other tasks of Node, have a turn. */
function otherWork() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
