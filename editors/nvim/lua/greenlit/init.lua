--- Greenlit: verified fixes for failing tests.
---
--- The server does the work; diagnostics and fixes come through Neovim's own LSP client
--- (`vim.lsp.buf.code_action()`), progress through `LspProgress`. Here is only what LSP has no place
--- for: the status, the evidence for a fix, search, and the :Greenlit command.
local M = {}

--- The configuration of the server, for `vim.lsp.config`.
function M.config()
  return require('greenlit.server').config()
end

--- Starts the server for every file of a known type. Settings are those of |vim.lsp.config()|.
function M.enable(settings)
  require('greenlit.server').enable(settings)
end

--- One word or two about the current buffer's project, for a status line; '' when there is nothing.
function M.status()
  return require('greenlit.status').line()
end

return M
