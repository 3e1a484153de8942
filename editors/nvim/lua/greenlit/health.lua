--- `:checkhealth greenlit`
local M = {}

local REPORT = { ok = vim.health.ok, warning = vim.health.warn, failed = vim.health.error }

local function run(command)
  local ok, job = pcall(vim.system, command, { text = true, timeout = 30000 })
  if not ok then
    return nil, job
  end
  local done = job:wait()
  return done
end

local function programs()
  vim.health.start('greenlit')
  if vim.fn.has('nvim-0.11') == 1 then
    vim.health.ok("Neovim 0.11 or newer: `vim.lsp.enable('greenlit')` works")
  elseif vim.fn.has('nvim-0.10') == 1 then
    vim.health.ok("Neovim 0.10: use `require('greenlit').enable()`")
  else
    vim.health.error('Neovim 0.10 or newer is needed')
  end
  local program = vim.fn.exepath('greenlit')
  if program == '' then
    vim.health.error('`greenlit` is not in PATH', { 'Install it, or set `cmd` in vim.lsp.config()' })
    return false
  end
  local version = run({ program, '--version' })
  if version and version.code == 0 then
    vim.health.ok(('%s (%s)'):format(vim.trim(version.stdout), program))
    return true
  end
  vim.health.error(('%s does not run'):format(program))
  return false
end

local function clients()
  vim.health.start('greenlit: sessions')
  local running = vim.lsp.get_clients({ name = 'greenlit' })
  if #running == 0 then
    vim.health.info('no server runs in this Neovim')
  end
  for _, client in ipairs(running) do
    local buffers = vim.tbl_count(client.attached_buffers)
    vim.health.ok(('%s, %d buffers'):format(client.config.root_dir or 'no root', buffers))
  end
end

--- What `greenlit doctor` says about the project here.
local function doctor()
  vim.health.start('greenlit doctor')
  local done = run({ 'greenlit', 'doctor', '--json', '--root', vim.fn.getcwd() })
  local ok, report = pcall(vim.json.decode, done and done.stdout or '')
  if not ok or type(report) ~= 'table' or type(report.checks) ~= 'table' then
    local text = done and vim.trim(done.stderr or '') or ''
    vim.health.error('`greenlit doctor` failed' .. (text ~= '' and ': ' .. text or ''))
    return
  end
  for _, check in ipairs(report.checks) do
    local say = REPORT[check.state] or vim.health.info
    local remedy = type(check.remedy) == 'string' and { check.remedy } or nil
    say(('%s: %s'):format(check.name, check.detail), remedy)
  end
end

function M.check()
  if programs() then
    clients()
    doctor()
  end
end

return M
