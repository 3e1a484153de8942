--- What the server says about itself: for a status line, and for :Greenlit status.
local M = {}

-- The last `greenlit/status` of each client: by root URI, and '' for the daemon.
local statuses = {}

--- Handles `greenlit/status`.
function M.on_status(_, status, context)
  local of = statuses[context.client_id] or {}
  of[status.root or ''] = status
  if status.daemon ~= 'up' then
    -- What the daemon said of projects ends with it.
    of = { [''] = status }
  elseif of[''] then
    of[''] = vim.tbl_extend('force', of[''], { daemon = 'up' })
  end
  statuses[context.client_id] = of
  vim.api.nvim_exec_autocmds('User', { pattern = 'GreenlitStatus', modeline = false, data = status })
  vim.cmd.redrawstatus({ bang = true })
end

--- A client ended.
function M.forget(client)
  statuses[client] = nil
end

--- What is known of the project of the current buffer: the daemon's state, the project's; or nil.
function M.here()
  local client = vim.lsp.get_clients({ name = 'greenlit', bufnr = vim.api.nvim_get_current_buf() })[1]
  local of = client and statuses[client.id]
  if not of then
    return nil
  end
  local root = client.config.root_dir
  return of[''], type(root) == 'string' and of[vim.uri_from_fname(root)] or nil
end

--- One word or two about the current buffer's project, for a status line; '' when there is nothing.
function M.line()
  local daemon, project = M.here()
  if daemon and daemon.daemon ~= 'up' then
    return 'greenlit: ' .. daemon.daemon
  elseif not project or project.phase == 'idle' then
    return ''
  elseif project.phase == 'fixing' then
    return ('fixing %d'):format(project.failing)
  elseif project.phase ~= 'settled' then
    return project.phase
  elseif project.failing == 0 then
    return ('✓ %d'):format(project.passed)
  end
  return ('✗ %d, %d fixes'):format(project.failing, project.fixes)
end

--- The daemon and its projects, as lines. `link` is how this editor sees the daemon, `report` what
--- the daemon says, when it does.
function M.lines(link, message, report)
  local lines = { 'Daemon: ' .. link }
  if message then
    vim.list_extend(lines, vim.split(message, '\n'))
  end
  if not report then
    return lines
  end
  local version = 'greenlitd %s, process %d, up %d s'
  table.insert(lines, version:format(report.build, report.pid, report.uptime_secs))
  table.insert(lines, 'Log: ' .. report.log)
  for _, session in ipairs(report.sessions) do
    local editor = 'Session %d: %s, %d documents'
    table.insert(lines, editor:format(session.id, session.client, session.documents))
  end
  for _, root in ipairs(report.roots) do
    local branch = root.branch and (' (%s)'):format(root.branch) or ''
    vim.list_extend(lines, { '', root.root .. branch, '  Tests: ' .. root.phase })
    table.insert(lines, '  Sandbox: ' .. (root.layer or 'nothing ran yet'))
    table.insert(lines, '  Index: ' .. (root.index or 'not open'))
    if root.adapter then
      table.insert(lines, '  Adapter: ' .. root.adapter)
    end
  end
  for _, of in ipairs(report.models) do
    table.insert(lines, ('Model (%s): %s'):format(of.tier, of.model))
  end
  return lines
end

return M
