-- A file of 50,000 lines, and undo and redo as fast as they come. LINE is the fault's, from 0.
-- Environment: PLUGIN, PROJECT.

package.path = vim.fs.dirname(arg[0] or debug.getinfo(1, 'S').source:sub(2)) .. '/?.lua;' .. package.path
local t = require('support')
local project = vim.env.PROJECT

t.start(vim.env.PLUGIN)
local source = t.edit(project .. '/people.py')
local line = tonumber(vim.env.LINE)
t.check('it is not long', vim.api.nvim_buf_line_count(source) >= 50000)
local tests = t.edit(project .. '/test_people.py')
t.wait_for_fix(tests, 4)
local before = t.text(source)

-- Three hundred changes all over the file, each its own step; back, forth, and back.
vim.api.nvim_set_current_buf(source)
for step = 1, 300 do
  local at = (step * 7919) % 49000
  if step % 3 == 0 then
    vim.cmd(('silent %ddelete _'):format(at + 1))
  elseif step % 3 == 1 then
    vim.api.nvim_buf_set_lines(source, at, at, true, { '# ' .. step .. ' 𝕏', '# é' })
  else
    vim.api.nvim_buf_set_text(source, at, 0, at, 0, { '# 👋 ' })
  end
  -- Breaks the sequence of undo.
  vim.cmd('let &l:undolevels = &l:undolevels')
end
t.wait('the fix to be withdrawn', function()
  return #t.actions(tests, 4) == 0
end)
for _, command in ipairs({ 'undo', 'redo', 'undo' }) do
  for _ = 1, 300 do
    vim.cmd('silent ' .. command)
  end
end
t.check('it is not the text of before', t.text(source) == before)
t.save(source)
-- A change that went astray on the way would leave the server with another text: nothing verified for it
-- holds here, or it hits another place.
t.apply_fix(tests, 4, source, 'age >= 18')
local fixed = vim.api.nvim_buf_get_lines(source, line, line + 1, true)[1]
t.check('the fix is elsewhere: ' .. fixed, fixed == '    return age >= 18')
vim.cmd('silent wall!')
t.wait('the diagnostics to clear', function()
  return #t.diagnostics(tests) == 0
end)
vim.cmd('qall!')
