// Loads one test file as node would, reports its tests, and ends or makes itself clean for the next.
//
// Requests come on descriptor 3, what is said goes to descriptor 4: both are in greenlit_pool.cjs.
// With `reuse`, modules of the workspace are loaded anew in this same process, inside a suite that
// is not reported. What an attempt leaves behind is taken back where that is possible (modules,
// environment, working directory, listeners, globals); what cannot be taken back (open handles,
// errors after the end) makes the process unfit for another attempt.
'use strict';
const { AsyncResource } = require('node:async_hooks');
const { writeSync, readFileSync } = require('node:fs');
const net = require('node:net');
const Module = require('node:module');
const path = require('node:path');
const { fileURLToPath, pathToFileURL } = require('node:url');
const { types } = require('node:util');
const { after, beforeEach, describe, mock, test } = require('node:test');
require('node:assert');

// Modules that are imported cannot be forgotten: the process ends before they fill the memory.
const ATTEMPTS = 300;
const RSS = 512 << 20;
const MARK = 'greenlit-attempt';
// Resources that come and go by themselves.
const FLEETING = new Set(['CloseReq', 'FSReqCallback', 'Immediate', 'TickObject', 'MicrotaskQueue']);
const { setImmediate } = globalThis;
const settled = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

function say(message) {
  const data = Buffer.from(JSON.stringify(message) + '\n');
  let at = 0;
  while (at < data.length) {
    try {
      at += writeSync(4, data, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}

let count = 0;
let current = null;

// Called by the reporter with each event of this process.
globalThis[Symbol.for('greenlit.event')] = (event) => {
  if (!current || current.answered) return;
  if (current.wrapper) {
    if (event.nesting === 0) return;
    event.nesting -= 1;
  }
  // Tests that a helper defines belong to the file that was run.
  event.file = current.file;
  current.stack.length = Math.min(current.stack.length, event.nesting);
  if (event.type === 'test:start') {
    current.stack.push(event.name);
  } else if (event.type === 'test:pass' || event.type === 'test:fail') {
    ended(event);
  }
  say({ event: JSON.stringify(event) });
  if (current.wanted.size === 0 && current.some) done(null);
};

// Notes the result of a test that was asked for.
function ended(event) {
  const subtests = event.error?.failureType === 'subtestsFailed';
  if (event.suite && (event.type === 'test:pass' || subtests)) return;
  const plain = [...current.stack.slice(0, event.nesting), event.name].join(' > ');
  const seen = (current.seen.get(plain) ?? 0) + 1;
  current.seen.set(plain, seen);
  const name = seen === 1 ? plain : `${plain} #${seen}`;
  current.wanted.delete(name);
}

beforeEach(async (context) => {
  if (!current) return;
  // The reporter hears of the test before this one a little later. That may be the end.
  if (current.some && !current.answered) await settled();
  // Nobody wants the others. The sooner they have ended, the sooner this process can be used again.
  if (current.answered) throw new Error('not asked for');
  let names = context.fullName ?? context.name;
  if (current.wrapper) names = names.replace(`${current.wrapper} > `, '');
  say({ started: { file: current.file, names } });
});

function done(error) {
  if (current.answered) return;
  current.answered = true;
  const { user, system } = process.cpuUsage(current.cpu);
  const text = error && String(error.stack ?? error);
  say({ done: { error: text, cpu: (user + system) / 1e6 } });
}

function isOurs(file, root) {
  return file.startsWith(root + path.sep) && !file.includes(`${path.sep}node_modules${path.sep}`);
}

// Modules of the workspace that are imported get a mark of their attempt, which passes on to what
// they import. What is required is found in a cache that can be emptied.
function mark(resolved, parent, root) {
  const attempt = parent && new URL(parent).searchParams.get(MARK);
  if (!attempt || !resolved.startsWith('file:') || resolved.includes(`${MARK}=`)) return resolved;
  const url = new URL(resolved);
  if (!isOurs(fileURLToPath(url), root)) return resolved;
  url.searchParams.set(MARK, attempt);
  return url.href;
}

let hooked = false;
function hook(root) {
  if (hooked) return;
  hooked = true;
  if (Module.registerHooks) {
    Module.registerHooks({
      resolve(specifier, context, next) {
        const resolved = next(specifier, context);
        if (context.conditions?.includes('require')) return resolved;
        return { ...resolved, url: mark(resolved.url, context.parentURL, root) };
      },
    });
    return;
  }
  const source = `
    import path from 'node:path';
    import { fileURLToPath } from 'node:url';
    const MARK = ${JSON.stringify(MARK)};
    ${isOurs}
    ${mark}
    export async function resolve(specifier, context, next) {
      const resolved = await next(specifier, context);
      return { ...resolved, url: mark(resolved.url, context.parentURL, ${JSON.stringify(root)}) };
    }`;
  Module.register(`data:text/javascript,${encodeURIComponent(source)}`);
}

function isModule(file) {
  const extension = path.extname(file);
  if (['.mjs', '.mts'].includes(extension)) return true;
  if (['.cjs', '.cts'].includes(extension)) return false;
  for (let dir = path.dirname(file); ; dir = path.dirname(dir)) {
    try {
      const { type } = JSON.parse(readFileSync(path.join(dir, 'package.json'), 'utf8'));
      if (type === 'module') return true;
      if (type === 'commonjs') return false;
      break;
    } catch {
      if (dir === path.dirname(dir)) break;
    }
  }
  // node looks at the syntax then. import() loads either kind.
  return /^\s*(import|export)\b/m.test(readFileSync(file, 'utf8'));
}

function load({ file, root, reuse }) {
  process.argv[1] = file;
  if (!isModule(file)) {
    Module._load(file, null, true);
    return undefined;
  }
  const url = pathToFileURL(file);
  if (reuse) {
    hook(root);
    url.searchParams.set(MARK, String(count));
  }
  return import(url);
}

function descriptors() {
  return new Map(Reflect.ownKeys(globalThis).map((key) => [
    key,
    Object.getOwnPropertyDescriptor(globalThis, key),
  ]));
}

function resources() {
  const counts = new Map();
  for (const kind of process.getActiveResourcesInfo()) {
    if (!FLEETING.has(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

let broken = false;
let pristine = null;

function remember() {
  pristine = {
    env: { ...process.env },
    cwd: process.cwd(),
    argv: process.argv.slice(),
    globals: descriptors(),
    listeners: new Map(process.eventNames().map((name) => [name, process.rawListeners(name)])),
    resources: resources(),
  };
  process.on('uncaughtExceptionMonitor', () => {
    broken = true;
  });
  pristine.listeners.set('uncaughtExceptionMonitor', process.rawListeners('uncaughtExceptionMonitor'));
}

// Takes back what an attempt changed; false when something stays, or this process is about to end.
function restore(root) {
  mock.reset();
  process.chdir(pristine.cwd);
  process.argv.splice(0, Infinity, ...pristine.argv);
  process.exitCode = undefined;
  for (const key of Object.keys(process.env)) if (!(key in pristine.env)) delete process.env[key];
  Object.assign(process.env, pristine.env);
  for (const name of process.eventNames()) {
    const before = pristine.listeners.get(name) ?? [];
    for (const listener of process.rawListeners(name)) {
      if (!before.includes(listener)) process.removeListener(name, listener);
    }
  }
  const globals = descriptors();
  for (const key of new Set([...globals.keys(), ...pristine.globals.keys()])) {
    const [before, now] = [pristine.globals.get(key), globals.get(key)];
    if (before && now && Object.is(now.value, before.value) && now.get === before.get) continue;
    if (now && !now.configurable) {
      // node itself adds some when they are first needed. They stay.
      if (before) return false;
      pristine.globals.set(key, now);
    } else if (before) Object.defineProperty(globalThis, key, before);
    else delete globalThis[key];
  }
  for (const file of Object.keys(require.cache)) {
    if (!isOurs(file, root)) continue;
    // A required ES module stays in another cache.
    if (types.isModuleNamespaceObject(require.cache[file].exports)) broken = true;
    delete require.cache[file];
  }
  process.mainModule = undefined;
  const before = pristine.resources;
  for (const [kind, n] of resources()) if (n > (before.get(kind) ?? 0)) return false;
  return !natural && !broken && count < ATTEMPTS && process.memoryUsage.rss() < RSS;
}

function begin(request) {
  count += 1;
  current = {
    file: request.file,
    wanted: new Set(request.wanted),
    some: request.wanted.length > 0,
    stack: [],
    seen: new Map(),
    answered: false,
    wrapper: null,
    // The first one pays for starting the process.
    cpu: count === 1 ? undefined : process.cpuUsage(),
  };
}

// With nothing left to wait for, node fails the tests that wait nevertheless, and ends.
let natural = false;
process.on('beforeExit', () => {
  natural = true;
});
process.on('exit', () => {
  if (natural && current) done(null);
});

async function once(request) {
  try {
    await load(request);
  } catch (error) {
    done(error);
  }
}

function again(request) {
  const wrapper = `${MARK} ${count}`;
  current.wrapper = wrapper;
  let failure = null;
  describe(wrapper, () => {
    after(() => {
      // The last test is reported after its suite's hooks; the report of this suite comes then.
      settled().then(() => {
        socket.ref();
        done(failure);
        current = null;
        say({ clean: restore(request.root) });
      });
    });
    const keep = (error) => {
      failure = error;
    };
    try {
      return load(request)?.then(() => {}, keep);
    } catch (error) {
      keep(error);
    }
  });
}

function handle(request) {
  if (!pristine) remember();
  begin(request);
  socket.unref();
  if (request.reuse) again(request);
  else once(request);
}

// Whatever is called in the course of a test belongs to it; requests must not.
const outside = new AsyncResource('greenlit');
const waiting = [];
let ready = false;
const socket = new net.Socket({ fd: 3, readable: true, writable: false });
let rest = '';
socket.setEncoding('utf8');
socket.on('data', (chunk) => {
  rest += chunk;
  const lines = rest.split('\n');
  rest = lines.pop();
  waiting.push(...lines.map((line) => JSON.parse(line)));
  if (ready) serve();
});
socket.on('end', () => process.exit(0));

function serve() {
  ready = true;
  outside.runInAsyncScope(() => waiting.splice(0).forEach(handle));
}

// The first test sets the reporter up, which takes longer than all the rest.
describe(MARK, () => {
  test('warm', () => {});
  after(() => {
    settled().then(serve);
  });
});
