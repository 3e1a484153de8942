-- :checkhealth greenlit, with a project and with a program that is missing.
-- Environment: PLUGIN, PROJECT.

package.path = vim.fs.dirname(arg[0] or debug.getinfo(1, 'S').source:sub(2)) .. '/?.lua;' .. package.path
local t = require('support')
local project = vim.env.PROJECT

t.start(vim.env.PLUGIN)
local function health()
  vim.cmd('checkhealth greenlit')
  local text = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n')
  vim.cmd('bwipeout!')
  return text
end
local function holds(text, wanted)
  for _, what in ipairs(wanted) do
    t.check(('`%s` is not in\n%s'):format(what, text), text:find(what, 1, true))
  end
end

t.edit(project .. '/people.py')
local text = health()
holds(text, {
  'this plugin works with ' .. require('greenlit.program').NEEDS,
  project .. ', 1 buffers',
  'greenlitd: ',
  'sandbox: layer in use',
  'test runner: pytest',
  'runtime directory',
  'greenlitd ' .. vim.env.VERSION,
  'socket: ' .. vim.env.GREENLIT_RUNTIME_DIR,
  ', yours (user ',
  'index of ' .. project,
  'daemon.log',
  'model: none',
})
t.check('something is wrong:\n' .. text, not text:find('ERROR', 1, true))

-- Without an open file it is about the directory that Neovim stands in.
if vim.lsp.enable then
  vim.lsp.enable('greenlit', false)
else
  vim.api.nvim_del_augroup_by_name('greenlit')
  vim.lsp.stop_client(vim.lsp.get_clients({ name = 'greenlit' }))
end
t.wait('the session to end', function()
  return #vim.lsp.get_clients({ name = 'greenlit' }) == 0
end)
vim.cmd('enew')
holds(health(), { 'no server runs in this Neovim', 'greenlit doctor: ' .. project })

vim.g.greenlit_program = '/nowhere/greenlit'
text = health()
holds(text, { 'there is no `/nowhere/greenlit`', 'cargo xtask install' })
t.check('it goes on without a program', not text:find('greenlit doctor', 1, true))
vim.cmd('qall!')
