-- The way of Neovim 0.10, which has no `vim.lsp.enable`.
-- Environment: PLUGIN, PROJECT.

package.path = vim.fs.dirname(arg[0] or debug.getinfo(1, 'S').source:sub(2)) .. '/?.lua;' .. package.path
local t = require('support')
local project = vim.env.PROJECT

t.load(vim.env.PLUGIN)

vim.lsp.enable = nil
vim.lsp.config = nil
vim.cmd.edit(vim.fn.fnameescape(project .. '/people.py'))
local source = vim.api.nvim_get_current_buf()
require('greenlit').enable({ settings = { greenlit = { fix = { automatic = false } } } })
t.wait('the open file to be attached', function()
  return #vim.lsp.get_clients({ name = 'greenlit', bufnr = source }) == 1
end)
local tests = t.edit(project .. '/test_people.py')
t.check('each file has its server', #vim.lsp.get_clients({ name = 'greenlit' }) == 1)
t.wait('the diagnostic', function()
  return #t.diagnostics(tests) == 1
end)
-- The settings arrived: fixes are looked for only on demand.
t.wait('the end of the run', function()
  return require('greenlit').status() == '✗ 1, 0 fixes'
end)
vim.cmd('Greenlit fix')
t.wait_for_fix(tests, 4)
vim.cmd('qall!')
