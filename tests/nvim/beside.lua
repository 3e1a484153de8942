-- Another editor is on the daemon and has the same file open with unsaved contents: here they are others.
-- Environment: PLUGIN, PROJECT, DAEMON (the process id of the other one's daemon).

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

failing('the failure of the file on disk', 1)
local daemon = t.daemon()
t.check('it is another daemon', daemon.pid == tonumber(vim.env.DAEMON))
t.check('they are not two sessions', #daemon.sessions >= 2)

t.replace(source, 1, '>', '<')
vim.cmd('Greenlit test')
failing('three failures', 3)
vim.cmd('qall!')
