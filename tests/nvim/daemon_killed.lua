-- The daemon is killed: while it works unasked, and while a person waits for it.
-- Environment: PLUGIN, PROJECT.

package.path = vim.fs.dirname(arg[0] or debug.getinfo(1, 'S').source:sub(2)) .. '/?.lua;' .. package.path
local t = require('support')
local project = vim.env.PROJECT

t.start(vim.env.PLUGIN)
local seen = {}
vim.api.nvim_create_autocmd('User', {
  pattern = 'GreenlitStatus',
  callback = function(event)
    table.insert(seen, event.data.daemon)
  end,
})
local source = t.edit(project .. '/people.py')
local tests = t.edit(project .. '/test_people.py')
t.wait_for_fix(tests, 4)

--- Has something start, kills the daemon while it goes on, and waits until all is as before.
local function killed_while(start)
  local pid = t.daemon().pid
  local kill
  kill = vim.api.nvim_create_autocmd('LspProgress', {
    pattern = 'begin',
    callback = function(event)
      if event.data.params.value.title:find('test', 1, true) then
        vim.uv.kill(pid, 'sigkill')
        vim.api.nvim_del_autocmd(kill)
        kill = nil
      end
    end,
  })
  seen = {}
  start()
  t.wait('a run to kill', function()
    return kill == nil
  end)
  t.wait('the status to say that the daemon is gone', function()
    return vim.tbl_contains(seen, 'down')
  end)
  t.wait('the status to say that it is back', function()
    return seen[#seen] == 'up'
  end)
  t.check('it is the same daemon', t.daemon().pid ~= pid)
  t.wait('the failure to be known again', function()
    local status = require('greenlit').status()
    return #t.diagnostics(tests) == 1 and (status:find('^fixing 1') or status:find('^✗ 1'))
  end)
end

-- Unasked: nobody is bothered.
killed_while(function()
  vim.api.nvim_buf_set_lines(source, -1, -1, false, { '', '# a comment' })
  t.save(source)
end)
t.check('a person was bothered', #t.told == 0 and vim.trim(vim.fn.execute('messages')) == '')

-- A person waits: that their run is lost is said once.
killed_while(function()
  vim.cmd('Greenlit test')
end)
local messages = vim.split(vim.trim(vim.fn.execute('messages')), '\n', { trimempty = true })
t.check(#messages + #t.told .. ' messages for one lost run', #messages + #t.told <= 1)

-- And all works as before.
t.apply_fix(tests, 4, source, 'age >= 18')
vim.cmd('silent wall!')
t.wait('the diagnostics to clear', function()
  return #t.diagnostics(tests) == 0
end)
vim.cmd('qall!')
