// Values: which of them a copy is as good as, others near them, and one as text.
'use strict';
const { types } = require('node:util');

const LEAVES = new Set(['string', 'number', 'boolean', 'undefined', 'bigint']);
const DEPTH = 8;
const NODES = 3000;

// Whether structured cloning gives an equal value: data of the language's own kinds, no functions
// or objects of classes.
function isPlain(value, depth = DEPTH) {
  if (value === null || LEAVES.has(typeof value)) return true;
  if (typeof value !== 'object' || depth === 0) return false;
  if (Array.isArray(value)) return value.every((item) => isPlain(item, depth - 1));
  if (types.isMap(value) || types.isSet(value)) {
    return [...value].every((item) => isPlain(item, depth - 1));
  }
  if (types.isDate(value) || types.isRegExp(value) || types.isTypedArray(value)) return true;
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  if (Object.getOwnPropertySymbols(value).length > 0) return false;
  return Object.values(Object.getOwnPropertyDescriptors(value)).every(
    (property) => 'value' in property && isPlain(property.value, depth - 1),
  );
}

// Values near this one, the most telling first; none for what is not known.
function* changes(value, depth = 2) {
  if (typeof value === 'boolean') yield !value;
  else if (typeof value === 'number') {
    if (Number.isInteger(value)) yield* [value + 1, value - 1, 0, -value, 1, value * 2, value + 2, -1];
    else yield* [value + 1, -value, 0, value / 2, value - 1, value * 10];
  } else if (typeof value === 'bigint') yield* [value + 1n, value - 1n, 0n, -value];
  else if (typeof value === 'string') {
    yield* [value.slice(1), [...value].reverse().join(''), '', value + value.slice(0, 1)];
    yield* [value.slice(0, 1), value.slice(0, -1), value.toUpperCase(), value + ' ', ' ' + value];
    yield value + 'a';
  } else if (Array.isArray(value)) {
    yield* [value.slice(1), [...value].reverse(), [], [...value, ...value.slice(0, 1)]];
    yield* [value.slice(0, 1), value.slice(0, -1)];
    if (depth > 0) {
      for (const index of [...value.keys()].slice(0, 4)) {
        for (const item of first(3, changes(value[index], depth - 1))) {
          yield [...value.slice(0, index), item, ...value.slice(index + 1)];
        }
      }
    }
  } else if (types.isMap(value) || types.isSet(value)) {
    const items = [...value];
    const kind = value.constructor;
    yield* [new kind(items.slice(1)), new kind(), new kind(items.slice(0, 1))];
  } else if (value === null || value === undefined) yield* [0, '', value === null ? undefined : null];
  else if (typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    const keys = Object.keys(value);
    for (const key of new Set([keys[0], keys.at(-1)])) {
      if (key === undefined) continue;
      const { [key]: gone, ...rest } = value;
      yield rest;
    }
    yield {};
    if (depth > 0) {
      for (const key of keys.slice(0, 4)) {
        for (const item of first(3, changes(value[key], depth - 1))) yield { ...value, [key]: item };
      }
    }
  }
}

function* first(count, values) {
  for (const value of values) {
    if (count-- <= 0) return;
    yield value;
  }
}

// One of each in turn, until all have ended.
function* inTurn(streams) {
  let open = [...streams];
  while (open.length > 0) {
    const still = [];
    for (const stream of open) {
      const { done, value } = stream.next();
      if (done) continue;
      still.push(stream);
      yield value;
    }
    open = still;
  }
}

// Variants of an input: one argument, or one property of the object, changed at a time, in turn.
function* mutations({ args, self }) {
  const ofArguments = args.map(function* (value, index) {
    for (const other of changes(value)) yield { args: args.with(index, other), self };
  });
  const ofSelf = Object.keys(self ?? {}).slice(0, 6).map(function* (key) {
    for (const other of changes(self[key])) yield { args, self: { ...self, [key]: other } };
  });
  yield* inTurn([...ofArguments, ...ofSelf]);
}

// A value as text that is the same in another process.
function describe(value) {
  let left = NODES;
  const open = new Set();
  const text = (value, depth) => {
    if (typeof value === 'number') {
      // Sums in another order differ in the last digits.
      return Object.is(value, -0) ? '-0' : String(Number(value.toPrecision(12)));
    }
    if (typeof value === 'string') return JSON.stringify(value);
    if (typeof value === 'bigint') return `${value}n`;
    if (typeof value === 'function') return 'function';
    if (value === null || typeof value !== 'object') return String(value);
    left -= 1;
    if (left < 0 || depth === 0 || open.has(value)) return '...';
    open.add(value);
    const inner = parts(value, (item) => text(item, depth - 1));
    open.delete(value);
    return inner;
  };
  return text(value, DEPTH);
}

function parts(value, text) {
  const kind = Object.getPrototypeOf(value)?.constructor?.name ?? 'null';
  if (Array.isArray(value) || types.isSet(value)) return `${kind}[${[...value].map(text)}]`;
  if (types.isTypedArray(value)) return `${kind}[${Array.from(value, text)}]`;
  if (types.isMap(value)) return `${kind}{${[...value].map(([k, v]) => text(k) + ':' + text(v))}}`;
  if (types.isDate(value)) return `Date ${value.getTime()}`;
  if (types.isRegExp(value)) return String(value);
  if (types.isNativeError(value)) return `${value.name}`;
  return `${kind}{${Object.keys(value).map((key) => `${key}:${text(value[key])}`)}}`;
}

module.exports = { describe, inTurn, isPlain, mutations };
