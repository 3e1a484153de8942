-- Helpers for end-to-end tests in a real Neovim: `nvim --clean --headless -l SCRIPT`.
-- Everything waits for an event with a deadline; nothing sleeps.

local M = {}

local DEADLINE_MS = 300000

-- What the person was told, in order.
M.told = {}

function M.fail(message)
  io.stderr:write('FAILED: ' .. message .. '\n')
  for _, bufnr in ipairs(vim.api.nvim_list_bufs()) do
    for _, d in ipairs(vim.diagnostic.get(bufnr)) do
      io.stderr:write(('  %s:%d %s\n'):format(vim.api.nvim_buf_get_name(bufnr), d.lnum + 1, d.message))
    end
  end
  for _, told in ipairs(M.told) do
    io.stderr:write('  told: ' .. told .. '\n')
  end
  io.stderr:write(vim.fn.execute('messages') .. '\n')
  os.exit(1)
end

function M.wait(what, condition, every_ms)
  if not vim.wait(DEADLINE_MS, condition, every_ms or 20) then
    M.fail('waited in vain for ' .. what)
  end
end

function M.check(what, holds)
  if not holds then
    M.fail(what)
  end
end

--- Makes the plugin known, as a package manager would, and listens to what it says.
function M.load(plugin)
  vim.notify = function(message, level)
    table.insert(M.told, (level or 2) .. ' ' .. message)
  end
  vim.o.swapfile = false
  vim.opt.runtimepath:prepend(plugin)
  vim.cmd('filetype on')
  vim.cmd('runtime! plugin/**/*.lua')
end

function M.start(plugin)
  M.load(plugin)
  if vim.lsp.enable then
    vim.lsp.enable('greenlit')
  else
    require('greenlit').enable()
  end
end

--- How often the person was told something that contains this text.
function M.times_told(text)
  return #vim.tbl_filter(function(told)
    return told:find(text, 1, true) ~= nil
  end, M.told)
end

function M.edit(path)
  vim.cmd.edit(vim.fn.fnameescape(path))
  M.wait('the client to attach to ' .. path, function()
    return #vim.lsp.get_clients({ name = 'greenlit', bufnr = 0 }) > 0
  end)
  return vim.api.nvim_get_current_buf()
end

function M.client()
  return vim.lsp.get_clients({ name = 'greenlit' })[1]
end

--- Waits for tests that fail, and for fixes in the menu on a line (0-based); gives their titles.
function M.wait_for_fix(bufnr, line)
  local titles = {}
  M.wait('a verified fix in the menu', function()
    titles = vim.tbl_map(function(action)
      return action.title
    end, M.actions(bufnr, line))
    return #titles > 0
  end)
  return titles
end

--- Chooses the first fix on a line until the text holds what it brings: a fix that was withdrawn
--- meanwhile leaves the menu empty, and whoever finds it empty opens it again.
function M.apply_fix(bufnr, line, source, expected)
  local function applied()
    return M.text(source):find(expected, 1, true) ~= nil
  end
  M.wait('a verified fix to be applied', function()
    if not applied() and #M.actions(bufnr, line) > 0 then
      M.choose(bufnr, line)
      vim.wait(2000, applied, 20)
    end
    return applied()
  end)
end

function M.save(bufnr)
  vim.api.nvim_buf_call(bufnr, function()
    vim.cmd('silent write!')
  end)
end

--- Replaces text of a line (0-based) without saving.
function M.replace(bufnr, line, from, to)
  local text = vim.api.nvim_buf_get_lines(bufnr, line, line + 1, true)[1]
  local first, last = text:find(from, 1, true)
  M.check(('line %d is %s'):format(line + 1, text), first)
  vim.api.nvim_buf_set_text(bufnr, line, first - 1, line, last, { to })
end

--- The daemon as `greenlit status` knows it; nil when none runs.
function M.daemon()
  local done = vim.system({ 'greenlit', 'status', '--json' }, { text = true }):wait()
  local ok, status = pcall(vim.json.decode, done.stdout)
  return ok and status.running and status or nil
end

--- The lines of the floating window that has the cursor, once there is one.
function M.float()
  M.wait('a floating window', function()
    return vim.api.nvim_win_get_config(0).relative ~= ''
  end)
  return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n')
end

--- Answers `vim.ui.select` with what `choose` gives for the items, as they are shown.
function M.answer_select(choose)
  local seen = {}
  vim.ui.select = function(items, options, on_choice)
    local format = options.format_item or tostring
    seen.prompt = options.prompt
    seen.items = vim.tbl_map(format, items)
    local index = choose(seen.items)
    on_choice(index and items[index], index)
  end
  return seen
end

function M.diagnostics(bufnr)
  return vim.diagnostic.get(bufnr)
end

--- The code actions that Greenlit offers on a line (0-based), as the menu would show them.
function M.actions(bufnr, line)
  local params = {
    textDocument = vim.lsp.util.make_text_document_params(bufnr),
    range = { start = { line = line, character = 0 }, ['end'] = { line = line, character = 0 } },
    context = { diagnostics = {}, triggerKind = 1 },
  }
  local replies = vim.lsp.buf_request_sync(bufnr, 'textDocument/codeAction', params, 5000)
  local _, reply = next(replies or {})
  return reply and reply.result or {}
end

--- Chooses the first fix on the cursor's line, through Neovim's own code action menu.
function M.choose(bufnr, line)
  vim.api.nvim_win_set_buf(0, bufnr)
  vim.api.nvim_win_set_cursor(0, { line + 1, 0 })
  local chosen
  vim.ui.select = function(items, _, on_choice)
    chosen = items[1]
    on_choice(items[1], 1)
  end
  vim.lsp.buf.code_action({
    apply = true,
    filter = function(action)
      return action.isPreferred == true
    end,
  })
  return function()
    return chosen
  end
end

function M.text(bufnr)
  return table.concat(vim.api.nvim_buf_get_lines(bufnr, 0, -1, false), '\n')
end

return M
