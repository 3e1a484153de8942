--- Greenlit: verified fixes for failing tests.
---
--- The server does the work; diagnostics and fixes come through Neovim's own LSP client
--- (`vim.lsp.buf.code_action()`). Here is only what LSP has no place for: the status, the
--- evidence for a fix, and the :Greenlit command.
local M = {}

local NAME = 'greenlit'
local FILETYPES = {
  'python',
  'rust',
  'javascript',
  'javascriptreact',
  'typescript',
  'typescriptreact',
  'go',
}
-- Each list is looked for from the file upwards; the first list that is found anywhere decides.
-- `Cargo.lock` marks a Cargo workspace, a `Cargo.toml` may be only a member of one.
local MARKERS = {
  { 'greenlit.toml' },
  {
    '.git',
    '.hg',
    'Cargo.lock',
    'pyproject.toml',
    'setup.py',
    'setup.cfg',
    'pytest.ini',
    'tox.ini',
    'package.json',
    'go.mod',
  },
  { 'Cargo.toml' },
}

-- The last `greenlit/status` by root URI; '' is the daemon's.
local statuses = {}

local function say(message, level)
  vim.notify('Greenlit: ' .. message, level or vim.log.levels.INFO)
end

--- The project that a buffer belongs to, or nil.
function M.root(bufnr)
  local name = vim.api.nvim_buf_get_name(bufnr)
  if name == '' or name:match('^%a[%w+.-]*://') then
    return nil
  end
  for _, markers in ipairs(MARKERS) do
    local root = vim.fs.root(bufnr, markers)
    if root then
      return root
    end
  end
end

local function on_status(_, status)
  statuses[status.root or ''] = status
  vim.api.nvim_exec_autocmds('User', { pattern = 'GreenlitStatus', modeline = false, data = status })
  vim.cmd.redrawstatus({ bang = true })
end

--- The configuration of the server, for `vim.lsp.config`.
function M.config()
  return {
    cmd = { NAME, 'lsp' },
    filetypes = FILETYPES,
    -- A file outside every project starts nothing.
    root_dir = function(bufnr, on_dir)
      local root = M.root(bufnr)
      if root then
        on_dir(root)
      end
    end,
    handlers = { ['greenlit/status'] = on_status },
  }
end

--- Starts the server for every file of a known type. Settings are those of |vim.lsp.config()|.
function M.enable(settings)
  if vim.lsp.enable then
    if settings then
      vim.lsp.config(NAME, settings)
    end
    vim.lsp.enable(NAME)
    return
  end
  local function start(bufnr)
    local root = M.root(bufnr)
    if not root or vim.bo[bufnr].buftype ~= '' then
      return
    end
    local config = vim.tbl_deep_extend('force', M.config(), settings or {})
    config.name = NAME
    config.root_dir = root
    vim.lsp.start(config, { bufnr = bufnr })
  end
  vim.api.nvim_create_autocmd('FileType', {
    group = vim.api.nvim_create_augroup('greenlit', { clear = true }),
    pattern = FILETYPES,
    callback = function(event)
      start(event.buf)
    end,
  })
  for _, bufnr in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_is_loaded(bufnr) and vim.tbl_contains(FILETYPES, vim.bo[bufnr].filetype) then
      start(bufnr)
    end
  end
end

--- The client of this buffer, else any; nil when there is none.
local function client_of(bufnr)
  local here = vim.lsp.get_clients({ name = NAME, bufnr = bufnr })
  return here[1] or vim.lsp.get_clients({ name = NAME })[1]
end

local function request(client, method, params, handler, bufnr)
  if vim.fn.has('nvim-0.11') == 1 then
    return client:request(method, params, handler, bufnr)
  end
  return client.request(method, params, handler, bufnr)
end

--- Runs a server command; `on_result` gets its result.
local function execute(command, arguments, on_result)
  local bufnr = vim.api.nvim_get_current_buf()
  local client = client_of(bufnr)
  if not client then
    return say('no server runs; open a file of a project', vim.log.levels.WARN)
  end
  local params = { command = command, arguments = arguments }
  request(client, 'workspace/executeCommand', params, function(err, result)
    if err then
      return say(err.message, vim.log.levels.ERROR)
    end
    if on_result then
      on_result(result)
    end
  end, bufnr)
end

--- The root of the current buffer as an argument, so that other projects are left alone.
local function here()
  local client = client_of(vim.api.nvim_get_current_buf())
  local root = client and client.config.root_dir
  return type(root) == 'string' and { root } or {}
end

local function show(lines, filetype)
  vim.cmd('botright new')
  local bufnr = vim.api.nvim_get_current_buf()
  vim.bo[bufnr].buftype = 'nofile'
  vim.bo[bufnr].bufhidden = 'wipe'
  vim.bo[bufnr].swapfile = false
  vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, lines)
  vim.bo[bufnr].modifiable = false
  vim.bo[bufnr].filetype = filetype
  vim.keymap.set('n', 'q', '<cmd>close<cr>', { buffer = bufnr, desc = 'Close' })
end

local function evidence()
  local bufnr = vim.api.nvim_get_current_buf()
  local client = client_of(bufnr)
  if not client then
    return say('no server runs; open a file of a project', vim.log.levels.WARN)
  end
  local params = vim.lsp.util.make_range_params(0, client.offset_encoding)
  params.context = { diagnostics = {}, only = { 'quickfix' } }
  request(client, 'textDocument/codeAction', params, function(err, actions)
    if err then
      return say(err.message, vim.log.levels.ERROR)
    end
    if not actions or #actions == 0 then
      return say('no fix is on offer on this line')
    end
    local function choose(action)
      if action then
        execute('greenlit.showEvidence', { action.data.fix }, function(text)
          show(vim.split(text, '\n'), 'markdown')
        end)
      end
    end
    if #actions == 1 then
      return choose(actions[1])
    end
    vim.ui.select(actions, {
      prompt = 'Evidence for which fix?',
      format_item = function(action)
        return action.title
      end,
    }, choose)
  end, bufnr)
end

local function status()
  execute('greenlit.status', {}, function(result)
    local lines = { 'Daemon: ' .. result.daemon }
    if type(result.message) == 'string' then
      table.insert(lines, result.message)
    end
    local report = result.report
    if type(report) == 'table' then
      local version = 'greenlitd %s, process %d, up %d s'
      table.insert(lines, version:format(report.build, report.pid, report.uptime_secs))
      table.insert(lines, 'Log: ' .. report.log)
      for _, root in ipairs(report.roots) do
        local branch = type(root.branch) == 'string' and (' (%s)'):format(root.branch) or ''
        local line = '%s%s: %s, %d failing, %d fixes'
        table.insert(lines, line:format(root.root, branch, root.phase, root.failing, root.fixes))
      end
    end
    say(table.concat(lines, '\n'))
  end)
end

local function log()
  execute('greenlit.status', {}, function(result)
    local path = type(result.report) == 'table' and result.report.log
    if path then
      vim.cmd.tabedit(vim.fn.fnameescape(path))
      vim.cmd.normal({ 'G', bang = true })
    else
      local message = type(result.message) == 'string' and result.message or 'it is ' .. result.daemon
      say(('no daemon to ask for its log (%s); see `greenlit logs`'):format(message))
    end
  end)
end

local SUBCOMMANDS = {
  test = function()
    execute('greenlit.runTests', here())
  end,
  fix = function()
    execute('greenlit.fix', here())
  end,
  cancel = function()
    execute('greenlit.cancel', here())
  end,
  evidence = evidence,
  status = status,
  log = log,
  restart = function()
    execute('greenlit.restart', {})
  end,
}

--- Names for completion.
function M.subcommands()
  local names = vim.tbl_keys(SUBCOMMANDS)
  table.sort(names)
  return names
end

--- What :Greenlit does.
function M.command(args)
  local run = SUBCOMMANDS[args[1] or 'status']
  if not run or #args > 1 then
    local names = table.concat(M.subcommands(), ', ')
    return say('expected one of ' .. names, vim.log.levels.ERROR)
  end
  run()
end

--- One word or two about the current buffer's project, for a status line; '' when there is nothing.
function M.status()
  local client = vim.lsp.get_clients({ name = NAME, bufnr = vim.api.nvim_get_current_buf() })[1]
  if not client then
    return ''
  end
  local daemon = statuses['']
  if daemon and daemon.daemon ~= 'up' then
    return 'greenlit: ' .. daemon.daemon
  end
  local root = client.config.root_dir
  local known = type(root) == 'string' and statuses[vim.uri_from_fname(root)]
  if not known then
    return ''
  elseif known.phase == 'settled' then
    if known.failing == 0 then
      return ('✓ %d'):format(known.passed)
    end
    return ('✗ %d, %d fixes'):format(known.failing, known.fixes)
  end
  return known.phase == 'idle' and '' or known.phase
end

return M
