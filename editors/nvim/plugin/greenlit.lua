-- The :Greenlit command. Starting the server is up to `vim.lsp.enable('greenlit')`, or, before
-- Neovim 0.11, `require('greenlit').enable()`.
if vim.g.loaded_greenlit then
  return
end
vim.g.loaded_greenlit = true

vim.api.nvim_create_user_command('Greenlit', function(args)
  require('greenlit.command').run(args)
end, {
  nargs = '*',
  bang = true,
  desc = 'Greenlit: verified fixes for failing tests',
  complete = function(lead, line)
    return require('greenlit.command').complete(lead, line)
  end,
})
