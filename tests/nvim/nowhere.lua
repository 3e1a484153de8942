-- Buffers that belong to no project: nothing starts, and commands say so.
-- Environment: PLUGIN, PROJECT.

package.path = vim.fs.dirname(arg[0] or debug.getinfo(1, 'S').source:sub(2)) .. '/?.lua;' .. package.path
local t = require('support')
local project = vim.env.PROJECT

t.start(vim.env.PLUGIN)
local function starts_nothing(what)
  vim.cmd('doautocmd FileType')
  t.check(what .. ' starts a server', #vim.lsp.get_clients({ _uninitialized = true }) == 0)
  t.check(what .. ' has a status', require('greenlit').status() == '')
end

vim.cmd('enew')
vim.bo.filetype = 'python'
starts_nothing('an untitled buffer')
vim.cmd.edit(vim.fn.fnameescape(vim.env.OUTSIDE .. '/alone.py'))
starts_nothing('a file outside of every project')
vim.api.nvim_buf_set_name(vim.api.nvim_create_buf(true, false), 'scp://host/' .. project .. '/people.py')
vim.cmd('buffer scp')
vim.bo.filetype = 'python'
starts_nothing('a file of another machine')
vim.cmd.edit(vim.fn.fnameescape(project .. '/notes.txt'))
starts_nothing('a file of another type')

for index, command in ipairs({ 'test', 'fix', 'evidence', 'search zebra' }) do
  vim.cmd('Greenlit ' .. command)
  t.wait('a word about ' .. command, function()
    return t.times_told('no server runs; open a file of a project') == index
  end)
end
vim.cmd('Greenlit status')
t.check('there is a daemon', t.float():find('Daemon: not running', 1, true))
vim.cmd('close')

-- Beside a session, an untitled buffer is left alone; saved into the project, it belongs to it.
local tests = t.edit(project .. '/test_people.py')
t.wait('the diagnostic', function()
  return #t.diagnostics(tests) == 1
end)
vim.cmd('enew')
vim.bo.filetype = 'python'
local fresh = vim.api.nvim_get_current_buf()
vim.api.nvim_buf_set_lines(fresh, 0, -1, false, { 'from people import is_adult', '', '', 'def test_old():', '    assert is_adult(18)' })
t.check('it is attached', #vim.lsp.get_clients({ bufnr = fresh }) == 0)
vim.cmd('silent write ' .. vim.fn.fnameescape(project .. '/test_fresh.py'))
vim.cmd('silent edit')
t.wait('the failure in it', function()
  return #t.diagnostics(fresh) == 1
end)
vim.cmd('qall!')
