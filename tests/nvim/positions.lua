-- Wide characters before the fault and lines that end with CR and LF: the fix hits its place.
-- The fault is on line 3 of people.py, the failure on line 5 of test_people.py.
-- Environment: PLUGIN, PROJECT.

package.path = vim.fs.dirname(arg[0] or debug.getinfo(1, 'S').source:sub(2)) .. '/?.lua;' .. package.path
local t = require('support')
local project = vim.env.PROJECT

t.start(vim.env.PLUGIN)
local source = t.edit(project .. '/people.py')
t.check('its lines end otherwise', vim.bo[source].fileformat == 'dos')
local tests = t.edit(project .. '/test_people.py')
t.wait_for_fix(tests, 4)

-- Edits in front of it, on its own line, in units that differ between the encodings.
vim.api.nvim_buf_set_text(source, 2, 0, 2, 0, { '' })
t.replace(source, 0, '𝕏', '👩‍👩‍👧 é 𝕏')
t.replace(source, 2, "'🎂'", "'🎂🎂 ß'")
t.save(source)
local expected = "    return ('🎂🎂 ß', age >= 18)[1]"
t.apply_fix(tests, 4, source, expected)
t.check('the line is ' .. vim.api.nvim_buf_get_lines(source, 2, 3, true)[1], vim.api.nvim_buf_get_lines(source, 2, 3, true)[1] == expected)
vim.cmd('silent wall!')
t.wait('the diagnostics to clear', function()
  return #t.diagnostics(tests) == 0
end)
vim.cmd('qall!')
