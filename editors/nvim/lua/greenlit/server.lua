--- The language server as Neovim's LSP client runs it.
local program = require('greenlit.program')
local root = require('greenlit.root')
local status = require('greenlit.status')
local ui = require('greenlit.ui')

local M = {}

M.NAME = 'greenlit'

--- The configuration for `vim.lsp.config`.
function M.config()
  return {
    -- A function, because Neovim passes over a program that is missing without a word.
    cmd = function(dispatchers)
      local command = vim.list_extend(program.command(), { 'lsp' })
      return vim.lsp.rpc.start(command, dispatchers, { env = program.env() })
    end,
    filetypes = root.FILETYPES,
    -- Neovim holds changes back, and before a request it sends those of the current buffer alone: tests
    -- would run on an old text of another one.
    flags = { debounce_text_changes = 0 },
    -- A file outside every project starts nothing, and neither does a program of another version.
    root_dir = function(bufnr, on_dir)
      local found = root.of(bufnr)
      if found then
        program.ready(function()
          if vim.api.nvim_buf_is_loaded(bufnr) then
            on_dir(found)
          end
        end)
      end
    end,
    -- With the first message, so that the run at the start already goes by them.
    before_init = function(params, config)
      local section = vim.tbl_get(config, 'settings', M.NAME)
      if type(section) == 'table' and not params.initializationOptions then
        params.initializationOptions = { [M.NAME] = section }
      end
    end,
    handlers = { ['greenlit/status'] = status.on_status },
    on_exit = function(_, _, client)
      status.forget(client)
    end,
  }
end

--- Starts the server for a buffer, where `vim.lsp.enable` is not there to do it.
local function start(bufnr)
  if vim.bo[bufnr].buftype ~= '' or not vim.tbl_contains(root.FILETYPES, vim.bo[bufnr].filetype) then
    return
  end
  local config = vim.tbl_deep_extend('force', M.config(), program.settings)
  config.name = M.NAME
  config.root_dir(bufnr, function(found)
    config.root_dir = found
    vim.lsp.start(config, { bufnr = bufnr })
  end)
end

--- Starts the server for every file of a known type. Settings are those of |vim.lsp.config()|.
function M.enable(settings)
  if vim.lsp.enable then
    if settings then
      vim.lsp.config(M.NAME, settings)
    end
    vim.lsp.enable(M.NAME)
    return
  end
  program.settings = settings or {}
  vim.api.nvim_create_autocmd('FileType', {
    group = vim.api.nvim_create_augroup('greenlit', { clear = true }),
    pattern = root.FILETYPES,
    callback = function(event)
      start(event.buf)
    end,
  })
  for _, bufnr in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_is_loaded(bufnr) then
      start(bufnr)
    end
  end
end

--- Starts the server for files that are open and have none, because the program was not there.
function M.attach()
  for _, group in ipairs({ 'nvim.lsp.enable', 'greenlit' }) do
    if pcall(vim.api.nvim_get_autocmds, { group = group }) then
      vim.cmd.doautoall('<nomodeline> ' .. group .. ' FileType')
    end
  end
end

--- The client of this buffer, else any; nil when there is none.
function M.client(bufnr)
  local here = vim.lsp.get_clients({ name = M.NAME, bufnr = bufnr })
  return here[1] or vim.lsp.get_clients({ name = M.NAME })[1]
end

--- The project of the current buffer as its server knows it, else as it is found; or nil.
function M.root()
  local client = M.client(0)
  local known = client and client.config.root_dir
  return type(known) == 'string' and known or root.of(0)
end

--- Says why there is no server.
local function none()
  program.check(function(problem)
    ui.warn(problem or 'no server runs; open a file of a project')
  end)
end

--- Sends a request from the current buffer; `on_result` gets what comes unless it is an error.
function M.request(method, params, on_result)
  local client = M.client(0)
  if not client then
    return none()
  end
  if type(params) == 'function' then
    params = params(client)
  end
  local function handler(err, result)
    if err then
      return ui.fail(vim.trim((err.message or ''):gsub('^Greenlit: ', '')))
    end
    if on_result then
      on_result(result, client)
    end
  end
  if vim.fn.has('nvim-0.11') == 1 then
    client:request(method, params, handler, vim.api.nvim_get_current_buf())
  else
    client.request(method, params, handler, vim.api.nvim_get_current_buf())
  end
end

--- Runs a command of the server.
function M.execute(command, arguments, on_result)
  local params = { command = command, arguments = arguments }
  M.request('workspace/executeCommand', params, on_result)
end

return M
