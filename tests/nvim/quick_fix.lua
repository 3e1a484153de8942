-- Broken file → diagnostic → quick fix from the menu → saved → diagnostics clear.
-- Environment: PLUGIN, PROJECT.

package.path = vim.fs.dirname(arg[0] or debug.getinfo(1, 'S').source:sub(2)) .. '/?.lua;' .. package.path
local t = require('support')
local project = vim.env.PROJECT

t.start(vim.env.PLUGIN)
local source = t.edit(project .. '/people.py')
local tests = t.edit(project .. '/test_people.py')

t.wait('the diagnostic at the failing assertion', function()
  return #t.diagnostics(tests) == 1
end)
local diagnostic = t.diagnostics(tests)[1]
if diagnostic.lnum ~= 4 then
  t.fail('the diagnostic is on line ' .. diagnostic.lnum + 1)
end
if not diagnostic.message:find('test_adult_on_the_birthday', 1, true) then
  t.fail('the diagnostic says ' .. diagnostic.message)
end

local titles = t.wait_for_fix(tests, 4)
if not titles[1]:find('verified: 1 red→green, 3 others unchanged', 1, true) then
  t.fail('the menu says ' .. titles[1])
end

-- An edit in between withdraws the fix; undoing it and saving brings a verified one back.
vim.api.nvim_buf_set_lines(source, 0, 0, false, { '# a comment' })
t.wait('the fix to be withdrawn', function()
  return #t.actions(tests, 4) == 0
end)
vim.api.nvim_buf_set_lines(source, 0, 1, false, {})
t.save(source)
-- Undone, the text is again the one that the fix holds for: it may be in the menu for a moment more, until
-- the daemon has withdrawn it to verify it anew.
t.apply_fix(tests, 4, source, 'age >= 18')
vim.cmd('silent wall!')
t.wait('the diagnostics to clear', function()
  return #t.diagnostics(tests) == 0
end)
if not vim.bo[source].modified then
  vim.api.nvim_buf_call(source, function()
    vim.cmd('silent undo')
  end)
end
if not t.text(source):find('age > 18', 1, true) then
  t.fail('the fix cannot be undone')
end
io.stdout:write('title: ' .. titles[1] .. '\n')
vim.cmd('qall!')
