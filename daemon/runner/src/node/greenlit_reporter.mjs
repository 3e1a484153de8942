// Writes each event of `node --test` as one JSON line. Runs in the runner's own process, not in
// those of the test files. In a process that is kept for attempts it passes the events on instead.
function plain(error, depth) {
  if (error === null || typeof error !== 'object') {
    return error === undefined ? null : { message: String(error) };
  }
  const text = (value) => (value === undefined || value === null ? null : String(value));
  return {
    name: text(error.name),
    code: text(error.code),
    message: text(error.message),
    stack: text(error.stack),
    failureType: text(error.failureType),
    exitCode: text(error.exitCode),
    signal: text(error.signal),
    cause: depth > 0 && error.cause !== undefined ? plain(error.cause, depth - 1) : null,
  };
}

function event(type, data) {
  if (type === 'test:stdout' || type === 'test:stderr') {
    return { type, file: data.file, message: data.message };
  }
  if (!['test:dequeue', 'test:start', 'test:pass', 'test:fail'].includes(type)) return null;
  return {
    type,
    file: data.file ?? null,
    name: data.name,
    nesting: data.nesting,
    line: data.line ?? null,
    skip: data.skip !== undefined && data.skip !== false,
    todo: data.todo !== undefined && data.todo !== false,
    suite: data.details?.type === 'suite',
    duration: data.details?.duration_ms ?? 0,
    error: data.details?.error ? plain(data.details.error, 3) : null,
  };
}

export default async function* reporter(source) {
  const listener = globalThis[Symbol.for('greenlit.event')];
  for await (const { type, data } of source) {
    const said = event(type, data);
    if (said === null) continue;
    if (listener) listener(said);
    else yield JSON.stringify(said) + '\n';
  }
  yield JSON.stringify({ type: 'end' }) + '\n';
}
