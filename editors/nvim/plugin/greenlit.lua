-- The :Greenlit command. Starting the server is up to `vim.lsp.enable('greenlit')`, or, before
-- Neovim 0.11, `require('greenlit').enable()`.
if vim.g.loaded_greenlit then
  return
end
vim.g.loaded_greenlit = true

vim.api.nvim_create_user_command('Greenlit', function(args)
  require('greenlit').command(args.fargs)
end, {
  nargs = '*',
  desc = 'Greenlit: verified fixes for failing tests',
  complete = function(lead)
    return vim.tbl_filter(function(name)
      return vim.startswith(name, lead)
    end, require('greenlit').subcommands())
  end,
})
