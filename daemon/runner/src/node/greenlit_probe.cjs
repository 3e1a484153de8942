// Calls a function with given inputs and says for each, in a digest, what it did.
//
// GREENLIT_REQUEST holds JSON: {"seen": [base64]} makes inputs of what was recorded, before any code
// of the workspace is loaded: {"inputs": [base64]} is the answer. {"file", "inputs", "skip"} loads the
// file, whose changed copy hands over its function, and answers with one line per input as soon as it
// is known, {"input", "outcome", "stable"}, and {"probed": true} when no more will come. Answers go to the file
// GREENLIT_ANSWER.
'use strict';
const { appendFileSync, readFileSync } = require('node:fs');
const { createHash } = require('node:crypto');
const { pathToFileURL } = require('node:url');
const v8 = require('node:v8');
const vm = require('node:vm');
const { describe, inTurn, mutations } = require('./greenlit_values.cjs');

const LIMIT = 60;
const BYTES = 8192;
// Milliseconds for one call; once calls took longer, the later ones get less.
const PATIENCE = 300;
const LESS_PATIENCE = 80;
const ITEMS = 1000;

const request = JSON.parse(readFileSync(process.env.GREENLIT_REQUEST, 'utf8'));
const answer = process.env.GREENLIT_ANSWER;
const { setTimeout, clearTimeout } = globalThis;
const say = (value) => appendFileSync(answer, JSON.stringify(value) + '\n');

// What was seen, and then in turn one mutation of each until there are enough.
function inputs(seen) {
  const all = new Set(seen.slice(0, LIMIT));
  const copies = [...all].map((copied) => v8.deserialize(Buffer.from(copied, 'base64')));
  for (const input of inTurn(copies.map(mutations))) {
    if (all.size >= LIMIT) break;
    const copied = v8.serialize(input).toString('base64');
    if (copied.length <= BYTES) all.add(copied);
  }
  return [...all];
}

let target = null;
globalThis[Symbol.for('greenlit.target')] = (fn, owner, fixed) => {
  target ??= { fn, owner, fixed };
};

class TookTooLong extends Error {}

// Runs `action`; what does not end is interrupted, wherever it is.
function within(ms, action) {
  const key = Symbol.for('greenlit.action');
  globalThis[key] = action;
  try {
    return vm.runInThisContext("globalThis[Symbol.for('greenlit.action')]()", { timeout: ms });
  } catch (error) {
    if (error?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw new TookTooLong();
    throw error;
  }
}

async function settled(value, ms) {
  if (typeof value?.then !== 'function') return value;
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new TookTooLong()), ms);
  });
  try {
    return await Promise.race([value, late]);
  } finally {
    clearTimeout(timer);
  }
}

// A result, with what it would only give later.
function consumed(value) {
  if (typeof value?.next !== 'function' || typeof value[Symbol.iterator] !== 'function') return value;
  const items = [];
  for (const item of value) if (items.push(item) >= ITEMS) break;
  return items;
}

async function call(copied, ms) {
  const { args, self } = v8.deserialize(Buffer.from(copied, 'base64'));
  let object;
  if (target.fixed) object = target.owner;
  else if (target.owner) object = Object.assign(Object.create(target.owner), self);
  const state = () => describe([args, target.fixed ? null : object]);
  const before = state();
  let text;
  try {
    const value = within(ms, () => consumed(Reflect.apply(target.fn, object, args)));
    const result = await settled(value, ms);
    text = 'returns ' + within(ms, () => describe(result));
  } catch (error) {
    if (error instanceof TookTooLong) return 'timeout';
    text = 'throws ' + String(error?.name ?? typeof error);
  }
  const after = within(ms, state);
  if (after !== before) text += ' and leaves ' + after;
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 16);
  return `${text.split(' ', 1)[0]} ${digest}`;
}

async function probe({ file, inputs: all, skip }) {
  try {
    await import(pathToFileURL(file));
  } catch {
    target = null;
  }
  if (typeof target?.fn !== 'function') return say({ probed: true });
  let slow = 0;
  for (const [index, copied] of all.entries()) {
    if (index < skip) continue;
    let outcome;
    let stable = true;
    try {
      outcome = await call(copied, slow < 2 ? PATIENCE : LESS_PATIENCE);
      if (outcome === 'timeout') slow += 1;
      else stable = (await call(copied, PATIENCE)) === outcome;
    } catch {
      outcome = 'odd';
    }
    say({ input: index, outcome, stable });
  }
  say({ probed: true });
}

if (request.seen) {
  say({ inputs: inputs(request.seen) });
  process.exit(0);
}
probe(request).then(() => process.exit(0), () => process.exit(1));
