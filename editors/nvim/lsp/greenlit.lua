-- Configuration for `vim.lsp.enable('greenlit')` (Neovim 0.11 and newer).
return require('greenlit').config()
