// Loaded into each test process: says at once which test begins, and how the process ends. The
// runner's own events do not leave a process that hangs in a loop or calls process.exit().
if (process.env.NODE_TEST_CONTEXT || process.env.GREENLIT_IN_PROCESS) {
  const { beforeEach } = require('node:test');
  const { appendFileSync } = require('node:fs');
  const target = process.env.GREENLIT_STARTED;
  const file = process.argv[1];
  const say = (value) => appendFileSync(target, JSON.stringify({ file, ...value }) + '\n');
  beforeEach((context) => {
    say({ names: context.fullName ?? context.name });
  });
  let natural = false;
  process.on('beforeExit', () => {
    natural = true;
  });
  process.on('exit', () => say({ natural }));
}
