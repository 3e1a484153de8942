--- The :Greenlit command.
local program = require('greenlit.program')
local server = require('greenlit.server')
local status = require('greenlit.status')
local ui = require('greenlit.ui')

local M = {}

--- The root of the current buffer as an argument, so that other projects are left alone.
local function here()
  local root = server.client(0) and server.root()
  return root and { root } or {}
end

local function show_status(args)
  local function show(lines)
    ui.show(lines, { title = 'Greenlit', mods = args.mods })
  end
  if server.client(0) then
    return server.execute('greenlit.status', {}, function(result)
      show(status.lines(result.daemon, result.message, result.report))
    end)
  end
  program.ask({ 'status' }, function(report)
    local running = report.running
    show(status.lines(running and 'up; no server runs in this Neovim' or 'not running', nil, running and report))
  end)
end

local function open_log(args)
  program.ask({ 'logs', '-n', '0' }, function(object)
    if not vim.uv.fs_stat(object.path) then
      return ui.say('there is no log yet: ' .. object.path)
    end
    local mods = vim.tbl_extend('keep', args.mods or {}, { tab = -1 })
    vim.cmd({ cmd = 'split', args = { vim.fn.fnameescape(object.path) }, mods = mods })
    vim.bo.autoread = true
    vim.cmd.normal({ 'G', bang = true })
  end)
end

--- Runs `greenlit ARGUMENTS --root …` and shows what it prints.
local function printed(arguments, title, mods)
  local root = server.root() or vim.fn.getcwd()
  program.run(vim.list_extend(arguments, { '--root', root }), function(done)
    local text = vim.trim(done.stdout or '')
    if text == '' then
      return ui.fail(program.failure(done))
    end
    ui.show(vim.split(text, '\n'), { title = title, mods = mods })
  end)
end

local function stop()
  program.ask({ 'stop' }, function(object)
    ui.say(object.stopped and 'the daemon ended; `:Greenlit test` starts it again' or 'no daemon runs')
  end)
end

--- With a server in this Neovim its session asks, and the way back is its business too. Without one,
-- perhaps because the program was missing, open files get one now.
local function restart()
  if server.client(0) then
    return server.execute('greenlit.restart', {})
  end
  program.ask({ 'restart' }, function(object)
    ui.say(('greenlitd %s runs as process %d'):format(object.build, object.pid))
    server.attach()
  end)
end

-- By name: what it does, and the words it takes: none, those of `words`, or any (`free`).
local SUBCOMMANDS = {
  test = {
    run = function()
      server.execute('greenlit.runTests', here())
    end,
  },
  fix = {
    run = function()
      server.execute('greenlit.fix', here())
    end,
  },
  cancel = {
    run = function()
      server.execute('greenlit.cancel', here())
    end,
  },
  evidence = {
    run = function(args)
      require('greenlit.evidence').show(args.mods)
    end,
  },
  dismiss = {
    run = function()
      require('greenlit.offered').dismiss()
    end,
  },
  search = {
    free = true,
    run = function(args, words)
      require('greenlit.search').ask(table.concat(words, ' '), args.bang)
    end,
  },
  model = {
    run = function()
      require('greenlit.model').choose()
    end,
  },
  adapter = {
    run = function()
      require('greenlit.adapter').choose()
    end,
  },
  index = {
    words = { 'pause', 'rebuild', 'resume', 'status' },
    run = function(args, words)
      printed({ 'index', words[1] or 'status' }, 'Index', args.mods)
    end,
  },
  status = { run = show_status },
  log = { run = open_log },
  restart = { run = restart },
  stop = { run = stop },
}

local function names()
  local all = vim.tbl_keys(SUBCOMMANDS)
  table.sort(all)
  return all
end

--- Whether a subcommand takes these words.
local function takes(subcommand, words)
  if subcommand.free or #words == 0 then
    return true
  end
  return #words == 1 and vim.tbl_contains(subcommand.words or {}, words[1])
end

--- What :Greenlit does, with what `nvim_create_user_command` gives.
function M.run(args)
  local words = vim.list_slice(args.fargs)
  local name = table.remove(words, 1) or 'status'
  local subcommand = SUBCOMMANDS[name]
  if not subcommand then
    return ui.fail(('there is no `%s`; expected one of %s'):format(name, table.concat(names(), ', ')))
  elseif not takes(subcommand, words) then
    local wanted = subcommand.words and 'one of ' .. table.concat(subcommand.words, ', ') or 'nothing'
    return ui.fail(('`:Greenlit %s` takes %s'):format(name, wanted))
  end
  subcommand.run({ mods = args.smods, bang = args.bang }, words)
end

--- Completion for the command line.
function M.complete(lead, line)
  local before = vim.trim(line:sub(1, #line - #lead)):gsub('^.*Greenlit!?%s*', '')
  local choices = names()
  if before ~= '' then
    local subcommand = SUBCOMMANDS[before]
    choices = subcommand and subcommand.words or {}
  end
  return vim.tbl_filter(function(choice)
    return vim.startswith(choice, lead)
  end, choices)
end

return M
