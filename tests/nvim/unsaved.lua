-- Unsaved edits decide what the tests find, and nothing is written.
-- Environment: PLUGIN, PROJECT.

package.path = vim.fs.dirname(arg[0] or debug.getinfo(1, 'S').source:sub(2)) .. '/?.lua;' .. package.path
local t = require('support')
local project = vim.env.PROJECT

t.start(vim.env.PLUGIN)
local source = t.edit(project .. '/people.py')
local tests = t.edit(project .. '/test_people.py')
local function failing(what, count)
  t.wait(what, function()
    return #t.diagnostics(tests) == count
  end)
end

failing('the diagnostic of what is on disk', 1)
t.replace(source, 1, '>', '>=')
vim.cmd('Greenlit test')
failing('the diagnostic to clear by an unsaved edit', 0)
t.wait('the status line to say so', function()
  return require('greenlit').status() == '✓ 4'
end)
t.replace(source, 1, '>=', '<')
vim.cmd('Greenlit test')
failing('the failures of another unsaved edit', 3)
t.check('a buffer was written', vim.bo[source].modified)
vim.cmd('qall!')
