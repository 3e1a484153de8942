-- Two Neovims on one daemon have the same file open with different unsaved contents.
-- Environment: PLUGIN, PROJECT, NVIM_PROGRAM.

package.path = vim.fs.dirname(arg[0] or debug.getinfo(1, 'S').source:sub(2)) .. '/?.lua;' .. package.path
local t = require('support')
local project = vim.env.PROJECT

local channel = vim.fn.jobstart({ vim.env.NVIM_PROGRAM, '--clean', '--headless', '--embed' }, {
  rpc = true,
  on_stderr = function(_, lines)
    io.stderr:write(table.concat(lines, '\n'))
  end,
})
--- Runs Lua in the other one; `t`, `source` and `tests` stand for the same there as here.
local function there(code)
  return vim.rpcrequest(channel, 'nvim_exec_lua', code, {})
end
there(([[
  package.path = %q
  t = require('support')
  t.start(%q)
  source = t.edit(%q)
  tests = t.edit(%q)
]]):format(package.path, vim.env.PLUGIN, project .. '/people.py', project .. '/test_people.py'))

t.start(vim.env.PLUGIN)
local source = t.edit(project .. '/people.py')
local tests = t.edit(project .. '/test_people.py')

local function here_failing(what, count)
  t.wait(what, function()
    return #t.diagnostics(tests) == count
  end)
end
local function there_failing(what, count)
  there(([[
    t.wait(%q, function() return #t.diagnostics(tests) == %d end)
  ]]):format(what, count))
end

here_failing('the diagnostic of the file on disk, here', 1)
there_failing('the diagnostic of the file on disk, there', 1)
t.check('they are not two sessions of one daemon', #t.daemon().sessions >= 2)

-- Both edit, and neither saves.
t.replace(source, 1, '>', '>=')
there([[t.replace(source, 1, '>', '<')]])
vim.cmd('Greenlit test')
there([[vim.cmd('Greenlit test')]])
here_failing('green, here', 0)
there_failing('three failures, there', 3)
-- What the other one found stays there.
here_failing('green, here, after the other run', 0)
t.check('a fix is offered here', #t.actions(tests, 4) == 0)

-- The other one leaves without saving; this one saves.
-- No answer is waited for: it leaves before it gives one.
vim.rpcnotify(channel, 'nvim_command', 'qall!')
t.save(source)
here_failing('green, saved', 0)
t.check('the text is the other one\'s', t.text(source):find('age >= 18', 1, true))
vim.cmd('qall!')
