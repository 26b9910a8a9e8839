// Runs a bundle of jobs (ports/jobs.h) on the module and prints its lines: node run_jobs.mjs MODULE BUNDLE

import { readFileSync, writeSync } from "node:fs";

const MEMORY_BYTES = 64 << 20;

const [, , modulePath, bundlePath] = process.argv;
if (!bundlePath) {
  console.error("usage: node run_jobs.mjs MODULE BUNDLE");
  process.exit(2);
}
const bundle = readFileSync(bundlePath);
const line = (address, bytes) => writeSync(1, new Uint8Array(engine.memory.buffer, address, bytes));
const module = new WebAssembly.Module(readFileSync(modulePath));
const engine = new WebAssembly.Instance(module, { host: { line } }).exports;

const align = (address) => (address + 63) & ~63;
const place = align(engine.__heap_base.value);
const memory = align(place + bundle.length);
const missing = memory + MEMORY_BYTES - engine.memory.buffer.byteLength;
if (missing > 0) engine.memory.grow(Math.ceil(missing / 65536));
new Uint8Array(engine.memory.buffer).set(bundle, place);
process.exitCode = engine.run_jobs(place, bundle.length, memory, MEMORY_BYTES);
