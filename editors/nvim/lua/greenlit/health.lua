--- `:checkhealth greenlit`
local program = require('greenlit.program')
local root = require('greenlit.root')

local M = {}

local health = vim.health
local REPORT = { ok = health.ok, warning = health.warn, failed = health.error }
-- The first look at a machine tries every sandbox layer.
local PATIENCE_MS = 60000

--- The object that `greenlit … --json` prints; else nil and why not.
local function ask(arguments)
  local command = vim.list_extend(program.command(), vim.list_extend(arguments, { '--json' }))
  local options = { text = true, timeout = PATIENCE_MS, env = program.env() }
  local started, job = pcall(vim.system, command, options)
  if not started then
    return nil, tostring(job)
  end
  local done = job:wait()
  local ok, object = pcall(vim.json.decode, done.stdout or '', { luanil = { object = true } })
  if ok and type(object) == 'table' and not object.error then
    return object
  end
  return nil, program.failure(done, ok and object)
end

local function neovim()
  health.start('greenlit')
  if vim.fn.has('nvim-0.11') == 1 then
    health.ok("Neovim 0.11 or newer: `vim.lsp.enable('greenlit')` works")
  elseif vim.fn.has('nvim-0.10') == 1 then
    health.ok("Neovim 0.10: use `require('greenlit').enable()`")
  else
    health.error('Neovim 0.10 or newer is needed')
  end
end

--- Whether the program can be asked anything.
local function programs()
  local finished, problem, version
  program.check(function(...)
    problem, version = ...
    finished = true
  end)
  vim.wait(PATIENCE_MS, function()
    return finished
  end)
  if not finished or problem then
    health.error(problem or 'no answer from `greenlit --version`')
    return false
  end
  local path = vim.fn.exepath(program.command()[1])
  health.ok(('version %s, %s; this plugin works with %s'):format(version, path, program.NEEDS))
  return true
end

--- Says how it stands with the sessions of this Neovim; gives their projects, without any the one
--- that Neovim stands in.
local function clients()
  health.start('greenlit: sessions')
  local roots = {}
  for _, client in ipairs(vim.lsp.get_clients({ name = 'greenlit' })) do
    local buffers = vim.tbl_count(client.attached_buffers)
    local of = client.config.root_dir
    health.ok(('%s, %d buffers'):format(of or 'no project', buffers))
    if type(of) == 'string' then
      roots[#roots + 1] = of
    end
  end
  if #roots > 0 then
    return roots
  end
  health.info('no server runs in this Neovim: open a file of a project')
  local before = vim.fn.bufnr('#')
  return { before > 0 and root.of(before) or vim.fn.getcwd() }
end

--- What `greenlit doctor` says about a project: programs, directories, the daemon, sandbox layers,
--- runners, configuration.
local function doctor(project)
  health.start('greenlit doctor: ' .. project)
  local report, why = ask({ 'doctor', '--root', project })
  if not report or type(report.checks) ~= 'table' then
    return health.error('`greenlit doctor` failed: ' .. (why or 'no checks'))
  end
  for _, check in ipairs(report.checks) do
    local say = REPORT[check.state] or health.info
    say(('%s: %s'):format(check.name, check.detail), check.remedy and { check.remedy } or nil)
  end
end

--- Whose socket it is: one of somebody else is not talked to.
local function socket(path)
  local stat = vim.uv.fs_stat(path)
  local me = vim.uv.getuid and vim.uv.getuid()
  if not stat or not me then
    health.info('socket: ' .. path)
  elseif stat.uid == me then
    health.ok(('socket: %s, yours (user %d)'):format(path, me))
  else
    health.error(('socket: %s belongs to user %d, you are %d'):format(path, stat.uid, me))
  end
end

local function daemon()
  health.start('greenlit: daemon')
  local status, why = ask({ 'status' })
  if not status then
    return health.error('`greenlit status` failed: ' .. why)
  elseif not status.running then
    health.info('no daemon runs; the next test run starts it')
  else
    local running = 'greenlitd %s, process %d, %d sessions, %d workspaces'
    health.ok(running:format(status.build, status.pid, #status.sessions, #status.roots))
    socket(status.socket)
    for _, of in ipairs(status.roots) do
      health.info(('index of %s: %s'):format(of.root, of.index or 'not open'))
    end
  end
  local logs = ask({ 'logs', '-n', '0' })
  if logs then
    health.info('log: ' .. logs.path .. ' (`:Greenlit log`)')
  end
end

local function model()
  local report, why = ask({ 'model', 'list' })
  if not report then
    health.warn('model: ' .. why)
  elseif report.degraded then
    health.warn('model: ' .. report.degraded)
  elseif report.in_use then
    health.ok('model: ' .. report.in_use)
  else
    health.info('model: none, so search is by words and names; `:Greenlit model` gets one')
  end
end

function M.check()
  neovim()
  if programs() then
    vim.iter(clients()):each(doctor)
    daemon()
    model()
  end
end

return M
