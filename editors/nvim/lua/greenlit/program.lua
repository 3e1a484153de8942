--- The `greenlit` program: where it is, and whether it is one that this plugin can work with.
local ui = require('greenlit.ui')

local M = {}

--- Versions of the program that this plugin works with.
M.NEEDS = '^0.1.0'

local INSTALL = '`cargo xtask install --nvim` in a clone installs program and plugin'
-- A program that does not say its version in that time is none of ours.
local PATIENCE_MS = 10000

-- What is known of a program, by its file; so a new one is looked at without a restart.
local known = {}
-- The problem that was said last: each is said once, not for every file that is opened.
local said

-- What `require('greenlit').enable()` was given; `vim.lsp.config()` has its own.
M.settings = {}

--- The person's configuration of the server.
local function config()
  return vim.lsp.config and vim.lsp.config.greenlit or M.settings
end

--- The command line up to a subcommand: one that the person set, else the program alone.
function M.command()
  local cmd = config().cmd
  if type(cmd) ~= 'table' or #cmd == 0 then
    return { vim.g.greenlit_program or 'greenlit' }
  end
  local prefix = vim.list_slice(cmd)
  if #prefix > 1 and prefix[#prefix] == 'lsp' then
    table.remove(prefix)
  end
  return prefix
end

--- What the person adds to the environment of the server.
function M.env()
  return config().cmd_env
end

--- The file behind a name, although it may not be executable; nil when there is none.
local function file(name)
  local directories = { '' }
  if not name:find('/', 1, true) then
    directories = vim.split(vim.env.PATH or '', vim.fn.has('win32') == 1 and ';' or ':')
  end
  for _, directory in ipairs(directories) do
    local path = directory == '' and vim.fs.normalize(name) or vim.fs.joinpath(directory, name)
    local stat = vim.uv.fs_stat(path)
    if stat and stat.type == 'file' then
      return path, stat
    end
  end
end

--- What is wrong with the program's file, and a name for its content.
local function look(name)
  local path, stat = file(name)
  if vim.fn.executable(name) == 1 then
    path = vim.fn.exepath(name)
    stat = vim.uv.fs_stat(path) or { mtime = { sec = 0 }, size = 0 }
    return nil, table.concat({ path, stat.mtime.sec, stat.mtime.nsec or 0, stat.size }, '\n')
  elseif path then
    return ('`%s` is not executable: `chmod +x` it, or install anew (%s)'):format(path, INSTALL)
  end
  local where = name:find('/', 1, true) and 'there is no `%s`' or '`%s` is not in PATH'
  local setting = 'vim.g.greenlit_program names another one'
  return (where .. ': %s; %s'):format(name, INSTALL, setting)
end

--- The problem with what `--version` gave; nil when there is none.
local function judge(name, done)
  local text = vim.trim(done.stdout or '')
  local version = done.code == 0 and text:match('^greenlit%s+(%S+)')
  local parsed = version and vim.version.parse(version)
  if not parsed then
    local first = vim.split(text ~= '' and text or vim.trim(done.stderr or ''), '\n')[1]
    local why = done.signal ~= 0 and 'no answer' or first ~= '' and first or 'exit code ' .. done.code
    return ('`%s --version` does not answer as Greenlit does (%s): %s'):format(name, why, INSTALL)
  end
  if not vim.version.range(M.NEEDS):has(parsed) then
    local text_of = '`%s` is version %s, this plugin works with %s: %s'
    return text_of:format(vim.fn.exepath(name), version, M.NEEDS, INSTALL)
  end
  return nil, version
end

--- Asks a program for its version; everybody who wants to know meanwhile gets the same answer.
local function examine(name, finding)
  local function answer(problem, version)
    finding.problem, finding.version = problem, version
    local waiting = finding.waiting
    finding.waiting = nil
    for _, on_done in ipairs(waiting) do
      on_done(problem, version)
    end
  end
  local command = vim.list_extend(M.command(), { '--version' })
  local options = { text = true, timeout = PATIENCE_MS, env = M.env() }
  local ok, failed = pcall(vim.system, command, options, function(done)
    vim.schedule(function()
      answer(judge(name, done))
    end)
  end)
  if not ok then
    answer(('`%s` cannot be started: %s'):format(name, failed))
  end
end

--- Calls `on_done(problem, version)` once it is known whether the program can be used; `problem` is
--- nil when it can.
function M.check(on_done)
  local name = M.command()[1]
  local problem, key = look(name)
  if problem then
    return on_done(problem)
  end
  local finding = known[key]
  if finding and not finding.waiting then
    return on_done(finding.problem, finding.version)
  elseif finding then
    return table.insert(finding.waiting, on_done)
  end
  finding = { waiting = { on_done } }
  known[key] = finding
  examine(name, finding)
end

--- Calls `on_ready` when the program can be used; else says why not, each reason once.
function M.ready(on_ready)
  M.check(function(problem)
    if not problem then
      said = nil
      return on_ready()
    end
    if said ~= problem then
      said = problem
      ui.fail(problem)
    end
  end)
end

--- Runs `greenlit` with these arguments, in `cwd` if that is given; `on_done` gets what
--- `vim.system()` gives. The editor goes on meanwhile.
function M.run(arguments, on_done, cwd)
  M.check(function(problem)
    if problem then
      return ui.fail(problem)
    end
    local command = vim.list_extend(M.command(), arguments)
    vim.system(command, { text = true, env = M.env(), cwd = cwd }, vim.schedule_wrap(on_done))
  end)
end

--- Like `run`, with `--json`: `on_done` gets the object, and the exit code.
function M.ask(arguments, on_done)
  M.run(vim.list_extend(arguments, { '--json' }), function(done)
    local ok, object = pcall(vim.json.decode, done.stdout, { luanil = { object = true } })
    if ok and type(object) == 'table' and not object.error then
      return on_done(object, done.code)
    end
    ui.fail(M.failure(done, ok and object))
  end)
end

--- Why a run of `greenlit` failed, for people.
function M.failure(done, object)
  local failure = type(object) == 'table' and object.error
  if type(failure) == 'table' then
    return failure.message .. (failure.hint and ('. ' .. failure.hint) or '')
  end
  local text = vim.trim(done.stderr or '')
  return text ~= '' and text or ('greenlit ended with exit code %d'):format(done.code)
end

return M
