-- The daemon refuses to start: said once, and the editor goes on.
-- Environment: PLUGIN, PROJECT; IN_THE_WAY, without which it starts; SAID, what is told of it.

package.path = vim.fs.dirname(arg[0] or debug.getinfo(1, 'S').source:sub(2)) .. '/?.lua;' .. package.path
local t = require('support')
local project = vim.env.PROJECT

t.start(vim.env.PLUGIN)
t.edit(project .. '/people.py')
t.wait('the status line to say so', function()
  return require('greenlit').status():find('^greenlit: %l') ~= nil and require('greenlit').status() ~= 'greenlit: connecting'
end)
vim.cmd('Greenlit')
local status = t.float()
t.check('it does not say why:\n' .. status, status:find(vim.env.SAID, 1, true))
vim.cmd('close')
local messages = vim.split(vim.trim(vim.fn.execute('messages')), '\n', { trimempty = true })
t.check('messages: ' .. vim.inspect(messages) .. vim.inspect(t.told), #messages + #t.told <= 1)

-- Mended, the next thing that a person wants works.
vim.fn.delete(vim.env.IN_THE_WAY, 'rf')
local tests = t.edit(project .. '/test_people.py')
vim.cmd('Greenlit test')
t.wait('the diagnostic', function()
  return #t.diagnostics(tests) == 1
end)
vim.cmd('qall!')
