// Preloaded into test processes: keeps the arguments that the watched function is called with.
//
// The changed copy of its file calls what is defined here at each call, or wraps the function with
// it. One JSON line per input goes to GREENLIT_SEEN, at once: the call may never end. An input is what
// v8.serialize() makes of {args, self}; `self` is there for methods, as the own properties of an
// object of the method's class. What would not be the same after a copy is left out.
'use strict';
const { appendFileSync } = require('node:fs');
const v8 = require('node:v8');
const plain = require('./greenlit_values.cjs').isPlain;

const target = process.env.GREENLIT_SEEN;
// Inputs of one process, bytes of one input.
const SEEN = 24;
const BYTES = 8192;
const seen = new Set();
const { apply } = Reflect;

function record(args, self, method) {
  if (seen.size >= SEEN) return;
  try {
    const input = { args: Array.from(args) };
    if (!plain(input.args)) return;
    if (method) {
      // An object of the class itself, not of one that overrides the method.
      const prototype = Object.getPrototypeOf(self);
      if (!Object.hasOwn(prototype, method)) return;
      input.self = { ...self };
      if (!plain(input.self)) return;
    }
    const copied = v8.serialize(input).toString('base64');
    if (copied.length > BYTES || seen.has(copied)) return;
    seen.add(copied);
    appendFileSync(target, JSON.stringify(copied) + '\n');
  } catch {
    // What cannot be copied is no input.
  }
}

globalThis[Symbol.for('greenlit.seen')] = record;
globalThis[Symbol.for('greenlit.watched')] = (fn) => new Proxy(fn, {
  apply(callee, self, args) {
    record(args, self, null);
    return apply(callee, self, args);
  },
});
