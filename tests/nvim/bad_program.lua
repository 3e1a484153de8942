-- A program that is missing, cannot run, or is another one: said once, and mended without a restart.
-- Below OTHERS: plain/greenlit is not executable, later/greenlit is of another version, strange/greenlit is
-- something else.
-- Environment: PLUGIN, PROJECT.

package.path = vim.fs.dirname(arg[0] or debug.getinfo(1, 'S').source:sub(2)) .. '/?.lua;' .. package.path
local t = require('support')
local project = vim.env.PROJECT

t.load(vim.env.PLUGIN)
local path = vim.env.PATH
vim.env.PATH = '/nowhere'
vim.lsp.enable('greenlit')

--- Opens files, uses a command, and expects one message that says what is wrong.
local function refused(what)
  t.told = {}
  for _, name in ipairs({ 'people.py', 'test_people.py', 'people.py' }) do
    vim.cmd.edit(vim.fn.fnameescape(project .. '/' .. name))
    vim.cmd('doautocmd FileType')
  end
  t.wait('`' .. what .. '`', function()
    return t.times_told(what) > 0
  end)
  t.check(#t.told .. ' messages', #t.told == 1)
  -- Somebody who asks is told why.
  vim.cmd('Greenlit test')
  t.wait('the reason again, on demand', function()
    return t.times_told(what) == 2
  end)
  t.check('a server runs', #vim.lsp.get_clients() == 0)
end

refused('`greenlit` is not in PATH')
local others = vim.env.OTHERS
vim.g.greenlit_program = others .. '/nothing/greenlit'
refused('there is no `' .. others .. '/nothing/greenlit`')
vim.g.greenlit_program = others .. '/plain/greenlit'
refused('is not executable')
-- Programs that run need a shell in PATH.
vim.env.PATH = path
vim.g.greenlit_program = others .. '/later/greenlit'
refused('is version 99.0.0, this plugin works with ' .. require('greenlit.program').NEEDS)
vim.g.greenlit_program = others .. '/strange/greenlit'
refused('does not answer as Greenlit does (something else)')
vim.env.PATH = others .. '/plain'
vim.g.greenlit_program = nil
refused(others .. '/plain/greenlit` is not executable')
vim.env.PATH = path

-- The right one is taken as soon as somebody asks for it, for the files that are open; nobody is told that
-- all is well but the one who asked.
t.told = {}
vim.cmd('Greenlit restart')
local tests = vim.fn.bufnr('test_people.py')
t.wait('the diagnostic', function()
  return #t.diagnostics(tests) == 1
end)
t.check('there were messages', #t.told == 1 and t.times_told('runs as process') == 1)
vim.cmd('qall!')
