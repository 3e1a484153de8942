// Keeps node processes started and ready, so that an attempt does not wait for one to start.
//
// Reads one JSON request per line and answers one JSON line:
//
//   request  {"file": test file, "root": dir, "reuse": bool, "wanted": [names], "wall": seconds}
//   answer   {"report": JSON lines, "starts": JSON lines, "error": text|null, "ended": bool,
//             "code": n|null, "signal": text|null, "timed_out": bool, "cpu": seconds}
//
// A process that says it is as clean as before serves again; any other is killed, and its successor
// was started while it ran.
'use strict';
const { spawn } = require('node:child_process');
const { readFileSync } = require('node:fs');
const readline = require('node:readline');

const [runner, ...flags] = process.argv.slice(2);
// What one process may say about one attempt.
const LIMIT = 8 << 20;
// How long a process may take after its answer to become ready for the next attempt.
const SETTLE_MS = 200;
const TICKS_PER_SECOND = 100;

class Child {
  constructor() {
    this.process = spawn(process.execPath, [...flags, runner], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.listener = null;
    this.gone = null;
    let rest = '';
    const output = this.process.stdio[4];
    output.setEncoding('utf8');
    output.on('data', (chunk) => {
      rest += chunk;
      const lines = rest.split('\n');
      rest = lines.pop();
      for (const line of lines) this.listener?.line(line);
      if (rest.length > LIMIT) this.kill();
    });
    // A process that is killed may leave its pipes in any state.
    for (const pipe of [output, this.process.stdio[3]]) pipe.on('error', () => {});
    this.process.on('error', () => this.end({ code: null, signal: null }));
    // `close` comes after the last line was read, `exit` where a descendant keeps the pipe open.
    this.process.on('close', (code, signal) => this.end({ code, signal }));
    this.process.on('exit', (code, signal) => setTimeout(() => this.end({ code, signal }), 20));
  }

  end(how) {
    if (this.gone) return;
    this.gone = how;
    this.listener?.gone();
    this.kill();
  }

  kill() {
    try {
      process.kill(-this.process.pid, 'SIGKILL');
    } catch {
      this.process.kill('SIGKILL');
    }
  }

  // CPU time so far, from the outside; null when it cannot be told.
  cpu() {
    try {
      const text = readFileSync(`/proc/${this.process.pid}/stat`, 'utf8');
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
      return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
    } catch {
      return null;
    }
  }
}

let spare = new Child();
let warm = null;

function attempt(request) {
  if (warm?.gone) warm = null;
  const child = (request.reuse && warm) || spare;
  if (child === spare) {
    if (request.reuse) warm = spare;
    spare = new Child();
  }
  return new Promise((resolve) => {
    const answer = { report: '', starts: '', error: null, ended: false, timed_out: false };
    const before = child === warm ? (child.cpu() ?? 0) : 0;
    let size = 0;
    let answered = false;
    const finish = (reusable) => {
      clearTimeout(timer);
      child.listener = null;
      const cpu = answer.cpu ?? Math.max((child.cpu() ?? 0) - before, 0);
      if (!reusable) {
        if (child === warm) warm = null;
        child.kill();
      }
      const how = child.gone ?? { code: null, signal: null };
      resolve({ code: how.code, signal: how.signal, ...answer, cpu });
    };
    let timer = setTimeout(() => {
      answer.timed_out = true;
      finish(false);
    }, request.wall * 1000);
    child.listener = {
      line(line) {
        let message;
        try {
          message = JSON.parse(line);
        } catch {
          return;
        }
        size += line.length;
        if (size > LIMIT) return finish(false);
        if (message.event) answer.report += message.event + '\n';
        if (message.started) answer.starts += JSON.stringify(message.started) + '\n';
        if (message.done && !answered) {
          answered = true;
          answer.ended = true;
          answer.error = message.done.error;
          answer.cpu = message.done.cpu;
          if (!request.reuse) return finish(false);
          clearTimeout(timer);
          timer = setTimeout(() => finish(false), SETTLE_MS);
        }
        if (message.clean !== undefined) finish(message.clean);
      },
      gone: () => finish(false),
    };
    if (child.gone) return finish(false);
    child.process.stdio[3].write(JSON.stringify(request) + '\n');
  });
}

process.stdout.write('{"ready":true}\n');
let queue = Promise.resolve();
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  queue = queue.then(async () => {
    const answer = await attempt(JSON.parse(line));
    process.stdout.write(JSON.stringify(answer) + '\n');
  });
}).on('close', () => queue.then(() => {
  for (const child of [spare, warm]) child?.kill();
  process.exit(0);
}));
