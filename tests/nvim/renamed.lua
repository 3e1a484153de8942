-- A file is renamed while fixes are shown: nothing is offered for what is not there any more.
-- Environment: PLUGIN, PROJECT.

package.path = vim.fs.dirname(arg[0] or debug.getinfo(1, 'S').source:sub(2)) .. '/?.lua;' .. package.path
local t = require('support')
local project = vim.env.PROJECT

t.start(vim.env.PLUGIN)
local source = t.edit(project .. '/people.py')
local tests = t.edit(project .. '/test_people.py')
t.wait_for_fix(tests, 4)

-- As a person does it: under a new name, the old one removed, its import corrected.
vim.api.nvim_set_current_buf(source)
vim.cmd('silent saveas ' .. vim.fn.fnameescape(project .. '/folk.py'))
vim.fn.delete(project .. '/people.py')
t.replace(tests, 0, 'people', 'folk')
for _, action in ipairs(t.actions(tests, 4)) do
  t.fail('offered for a file that is gone: ' .. action.title)
end
vim.cmd('silent wall!')
t.apply_fix(tests, 4, source, 'age >= 18')
vim.cmd('silent wall!')
t.wait('the diagnostics to clear', function()
  return #t.diagnostics(tests) == 0
end)
t.check('the old file is back', not vim.uv.fs_stat(project .. '/people.py'))

-- And beside the editor, as `git mv` does it, while the buffers keep the old names.
t.replace(source, 1, '>=', '>')
t.save(source)
t.wait_for_fix(tests, 4)
vim.fn.rename(project .. '/folk.py', project .. '/people.py')
vim.fn.rename(project .. '/test_people.py', project .. '/test_folk.py')
vim.cmd('silent! checktime')
vim.cmd('silent! bwipeout! ' .. source)
vim.cmd('silent! bwipeout! ' .. tests)
source = t.edit(project .. '/people.py')
tests = t.edit(project .. '/test_folk.py')
t.replace(tests, 0, 'folk', 'people')
t.save(tests)
t.apply_fix(tests, 4, source, 'age >= 18')
vim.cmd('silent wall!')
t.wait('the diagnostics to clear again', function()
  return #t.diagnostics(tests) == 0
end)
t.check('there were messages: ' .. table.concat(t.told, '; '), #t.told == 0)
vim.cmd('qall!')
