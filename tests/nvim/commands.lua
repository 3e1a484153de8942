-- What :Greenlit does, in the windows and lists that it opens.
-- Environment: PLUGIN, PROJECT.

package.path = vim.fs.dirname(arg[0] or debug.getinfo(1, 'S').source:sub(2)) .. '/?.lua;' .. package.path
local t = require('support')
local project = vim.env.PROJECT

t.start(vim.env.PLUGIN)
local titles = {}
vim.api.nvim_create_autocmd('LspProgress', {
  pattern = 'begin',
  callback = function(event)
    titles[event.data.params.value.title] = true
  end,
})
t.edit(project .. '/people.py')
local tests = t.edit(project .. '/test_people.py')
t.wait_for_fix(tests, 4)

-- Completion: subcommands, then their words; and nothing that does not exist.
local function complete(line)
  return table.concat(vim.fn.getcompletion(line, 'cmdline'), ' ')
end
local function completes(line, expected)
  local got = complete(line)
  t.check(('`%s` completes to `%s`'):format(line, got), got == expected)
end
completes(
  'Greenlit ',
  'adapter cancel dismiss evidence fix index log model restart search status stop test'
)
completes('Greenlit s', 'search status stop')
completes('vertical Greenlit index ', 'pause rebuild resume status')
completes('Greenlit index re', 'rebuild resume')
completes('Greenlit test ', '')
vim.cmd('Greenlit adopt')
vim.cmd('Greenlit index burn')
vim.cmd('Greenlit test now')
t.wait('three refusals', function()
  return t.times_told('expected one of') == 1
    and t.times_told('`:Greenlit index` takes one of pause, rebuild') == 1
    and t.times_told('`:Greenlit test` takes nothing') == 1
end)

-- Evidence: in a floating window at once, for there is one fix; in a split on demand.
local function holds(text, what)
  t.check(('the window lacks `%s`:\n%s'):format(what, text), text:find(what, 1, true))
end
vim.api.nvim_win_set_cursor(0, { 5, 0 })
vim.cmd('Greenlit evidence')
local evidence = t.float()
for _, what in ipairs({ 'verified: 1 red→green', '```diff', '+    return age >= 18', 'sandbox layer' }) do
  holds(evidence, what)
end
t.check('it is not Markdown', vim.bo.filetype == 'markdown')
vim.api.nvim_feedkeys('q', 'xt', false)
t.wait('q to close it', function()
  return vim.api.nvim_get_current_buf() == tests
end)
vim.cmd('vertical Greenlit evidence')
t.wait('a split', function()
  return vim.bo.filetype == 'markdown'
end)
t.check('it floats', vim.api.nvim_win_get_config(0).relative == '' and #vim.api.nvim_list_wins() == 2)
vim.cmd('close')
vim.api.nvim_win_set_cursor(0, { 8, 0 })
vim.cmd('Greenlit evidence')
t.wait('a word about a line without a fix', function()
  return t.times_told('no fix is on offer on this line') == 1
end)

-- A dismissed fix is not in the menu any more.
t.answer_select(function()
  return 1
end)
vim.api.nvim_win_set_cursor(0, { 5, 0 })
local unwanted = t.wait_for_fix(tests, 4)[1]
vim.cmd('Greenlit dismiss')
t.wait('the dismissal', function()
  return t.times_told('no longer offered: ' .. unwanted) == 1
end)
t.check('its test is not red any more', #t.diagnostics(tests) == 1)
t.wait('it to leave the menu', function()
  return vim.iter(t.actions(tests, 4)):all(function(action)
    return action.title ~= unwanted
  end)
end)

-- Search, by an unsaved name too. The first one asks whether a model may be downloaded; no answer is none.
local menu = t.answer_select(function()
  return nil
end)
vim.api.nvim_buf_set_lines(tests, -1, -1, false, { '', '', 'def test_zebra():', '    assert initials("") == ""' })
-- A busy machine may not have read the files within a search's patience; the answer says so.
t.wait('the quickfix list', function()
  local told = t.times_told('nothing found')
  vim.cmd('Greenlit search zebra')
  t.wait('an answer', function()
    return vim.bo.buftype == 'quickfix' or t.times_told('nothing found') > told
  end)
  return vim.bo.buftype == 'quickfix'
end)
local found = vim.fn.getqflist()
t.check('it is not the unsaved function', found[1].bufnr == tests and found[1].text:find('test_zebra', 1, true))
vim.cmd('cclose')
t.wait('the question', function()
  return vim.deep_equal(menu.items, { 'Download', 'Not now', 'Never' })
end)
menu = t.answer_select(function(items)
  for index, item in ipairs(items) do
    if item:find('^people.py:%d+  initials') or item:find('/people.py:%d+  initials') then
      return index
    end
  end
end)
vim.cmd('Greenlit! search initials')
t.wait('a jump to what was chosen', function()
  return vim.fn.expand('%:t') == 'people.py'
end)
t.check('the cursor is elsewhere', vim.api.nvim_win_get_cursor(0)[1] == 5)
local told = t.times_told('nothing found')
vim.cmd('Greenlit search qqxyzzyqq')
t.wait('an empty answer', function()
  return t.times_told('nothing found') == told + 1
end)

-- Status, index, log, models.
vim.cmd('Greenlit')
local status = t.float()
for _, what in ipairs({ 'Daemon: up', project, 'Log: ', '4', 'Neovim' }) do
  holds(status, what)
end
vim.cmd('close')
vim.cmd('Greenlit index')
holds(t.float(), project)
vim.cmd('close')
vim.cmd('Greenlit log')
t.wait('the log', function()
  return vim.fn.expand('%:t') == 'daemon.log'
end)
vim.cmd('close')
menu = t.answer_select(function()
  return nil
end)
vim.cmd('Greenlit model')
t.wait('a choice of models', function()
  return menu.items ~= nil
end)
holds(table.concat(menu.items, '\n'), 'all-minilm-l6-v2')
holds(table.concat(menu.items, '\n'), 'not installed')

-- Adapters: none are there yet.
vim.cmd('Greenlit adapter')
t.wait('a word about adapters', function()
  return t.times_told('there is no adapter; `greenlit adapter add DIR`') == 1
end)

-- Restart is another process; stop is none, until somebody wants something.
local pid = t.daemon().pid
vim.cmd('Greenlit restart')
t.wait('another daemon', function()
  local daemon = t.daemon()
  return daemon and daemon.pid ~= pid
end, 500)
t.wait('its session', function()
  return require('greenlit').status():find('✗', 1, true)
end)
vim.cmd('Greenlit stop')
t.wait('no daemon', function()
  return t.times_told('the daemon ended') == 1
end)
t.wait('the status line to say so', function()
  return require('greenlit').status() == 'greenlit: down'
end)
vim.cmd('Greenlit test')
t.wait('tests to run again', function()
  return require('greenlit').status():find('✗', 1, true)
end)
t.check('no progress was told', next(titles) ~= nil)
vim.cmd('qall!')
