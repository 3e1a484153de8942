-- Helpers for end-to-end tests in a real Neovim: `nvim --clean --headless -l SCRIPT`.
-- Everything waits for an event with a deadline; nothing sleeps.

local M = {}

local DEADLINE_MS = 120000

function M.fail(message)
  io.stderr:write('FAILED: ' .. message .. '\n')
  for _, bufnr in ipairs(vim.api.nvim_list_bufs()) do
    for _, d in ipairs(vim.diagnostic.get(bufnr)) do
      io.stderr:write(('  %s:%d %s\n'):format(vim.api.nvim_buf_get_name(bufnr), d.lnum + 1, d.message))
    end
  end
  io.stderr:write(vim.fn.execute('messages') .. '\n')
  os.exit(1)
end

function M.wait(what, condition)
  if not vim.wait(DEADLINE_MS, condition, 20) then
    M.fail('waited in vain for ' .. what)
  end
end

function M.start(plugin)
  vim.opt.runtimepath:prepend(plugin)
  vim.cmd('filetype on')
  vim.cmd('runtime! plugin/**/*.lua')
  vim.lsp.enable('greenlit')
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
  local reply = M.client():request_sync('textDocument/codeAction', params, 5000, bufnr)
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
