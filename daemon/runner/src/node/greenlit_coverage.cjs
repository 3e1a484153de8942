// Preloaded into the process of one test file: says which lines each test executed, from V8's own
// block coverage. One JSON line per test:
//
//   {"file": test file, "names": full name, "lines": {path: [line]}, "alone": bool}
//
// Counters are read and reset where a test begins and where it ends. What ran in between belongs to
// that test and to the tests around it. What ran outside of any test (loading modules, hooks of
// suites) belongs to every test that ended after it: `before` holds it. Tests that overlap cannot be
// told apart: `alone` is false for them. Only the tests in the list GREENLIT_WANTED are looked at:
// reading the counters takes some milliseconds.
'use strict';
const { appendFileSync, readFileSync } = require('node:fs');
const inspector = require('node:inspector');
const path = require('node:path');
const { fileURLToPath } = require('node:url');
const { beforeEach, afterEach } = require('node:test');

const target = process.env.GREENLIT_LINES;
const root = process.env.GREENLIT_ROOT + path.sep;
const file = path.resolve(process.argv[1]);
const session = new inspector.Session();
session.connect();

// Within one thread the answer is there when `post` returns.
function post(method, params) {
  let answer;
  session.post(method, params, (error, result) => {
    if (!error) answer = result;
  });
  return answer;
}
post('Profiler.enable');
post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });

const before = new Map();
const open = [];
const wanted = new Set(JSON.parse(readFileSync(process.env.GREENLIT_WANTED, 'utf8')));
// Whether a test that nobody asked for ran since the counters were read.
let foreign = false;
let loaded = false;

beforeEach((context) => {
  const names = context.fullName ?? context.name;
  if (wanted.has(names) || !loaded) slice();
  loaded = true;
  if (!wanted.has(names)) foreign = true;
  const within = open.every((test) => names.startsWith(`${test.names} > `));
  const test = { names, lines: wanted.has(names) ? new Map() : null, alone: within };
  if (!within) for (const other of open) other.alone = false;
  open.push(test);
});

afterEach((context) => {
  const names = context.fullName ?? context.name;
  if (wanted.has(names)) slice();
  const at = open.findLastIndex((test) => test.names === names);
  if (at < 0) return;
  const [test] = open.splice(at, 1);
  if (!test.lines) return;
  add(test.lines, before);
  const lines = {};
  for (const [name, numbers] of test.lines) lines[name] = [...numbers].sort((a, b) => a - b);
  appendFileSync(target, JSON.stringify({ file, names, alone: test.alone, lines }) + '\n');
});

function add(to, from) {
  for (const [name, numbers] of from) {
    const known = to.get(name);
    if (!known) to.set(name, new Set(numbers));
    else for (const number of numbers) known.add(number);
  }
}

// Everything since the last call.
function slice() {
  const since = new Map();
  for (const { scriptId, url, functions } of post('Profiler.takePreciseCoverage')?.result ?? []) {
    const script = scriptOf(scriptId, url, functions);
    if (!script) continue;
    const numbers = executed(script, functions);
    if (numbers.size > 0) add(since, new Map([[script.path, numbers]]));
  }
  const traced = open.filter((test) => test.lines);
  if (traced.length === 0 && !foreign) add(before, since);
  for (const test of traced) add(test.lines, since);
  foreign = open.length > traced.length;
}

const scripts = new Map();

function scriptOf(id, url, functions) {
  if (!scripts.has(id)) scripts.set(id, read(url, functions));
  return scripts.get(id);
}

// The lines of a script of the workspace; null for any other, and where what V8 runs is not what the
// file holds (a transpiler), so that its positions mean nothing. V8 could be asked for its text, but
// only by its debugger, which forgets the counters of blocks when it is switched off. So the length
// must do: that of the outermost function, which is reported when a script was just loaded. Types
// that node itself removes leave blanks and keep every position.
function read(url, functions) {
  let name = url;
  try {
    if (url.startsWith('file:')) name = fileURLToPath(url);
    if (!name.startsWith(root) || name.includes(`${path.sep}node_modules${path.sep}`)) return null;
    const whole = functions[0]?.ranges[0];
    if (whole?.startOffset !== 0) return null;
    const text = readFileSync(name, 'utf8');
    const bare = text.startsWith('\uFEFF') ? text.slice(1) : text;
    const behind = ['', `\n\n//# sourceURL=${name}`, `\n\n//# sourceURL=${url}`];
    for (const source of [text, bare]) {
      if (behind.some((end) => source.length + end.length === whole.endOffset)) {
        return { path: name, source, lines: linesOf(source) };
      }
    }
    return null;
  } catch {
    return null;
  }
}

const WORD = /[\p{L}\p{N}_$]/u;

// For each line with code on it: its number and where its text begins and ends, in UTF-16 units.
function linesOf(source) {
  const lines = [];
  let at = 0;
  let comment = false;
  for (const [index, text] of source.split('\n').entries()) {
    const trimmed = text.trim();
    const opens = trimmed.startsWith('/*');
    if (opens) comment = true;
    const code = !comment && !trimmed.startsWith('//') && WORD.test(trimmed);
    if (comment && trimmed.includes('*/')) comment = false;
    if (code) {
      const start = at + text.length - text.trimStart().length;
      lines.push({ number: index + 1, start, end: at + text.trimEnd().length });
    }
    at += text.length + 1;
  }
  return lines;
}

// Lines of which a part was executed. Ranges nest, and the innermost one counts.
function executed({ source, lines }, functions) {
  const ranges = functions.flatMap((fn) => fn.ranges);
  ranges.sort((a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset);
  const numbers = new Set();
  let next = 0;
  const ran = (from, to) => {
    while (next < lines.length && lines[next].end <= from) next += 1;
    for (let at = next; at < lines.length && lines[at].start < to; at += 1) {
      const part = source.slice(Math.max(from, lines[at].start), Math.min(to, lines[at].end));
      // The end of something is no code: the brace before `else`.
      if (WORD.test(part)) numbers.add(lines[at].number);
    }
  };
  const stack = [];
  let at = 0;
  const advance = (to) => {
    if (to > at && stack.length > 0 && stack.at(-1).count > 0) ran(at, to);
    at = Math.max(at, to);
  };
  const closeUntil = (offset) => {
    while (stack.length > 0 && stack.at(-1).endOffset <= offset) {
      advance(stack.at(-1).endOffset);
      stack.pop();
    }
  };
  for (const range of ranges) {
    closeUntil(range.startOffset);
    advance(range.startOffset);
    stack.push(range);
  }
  closeUntil(Infinity);
  return numbers;
}
