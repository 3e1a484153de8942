-- A person chooses an adapter for the project, and then none.
-- Environment: PLUGIN, PROJECT.

package.path = vim.fs.dirname(arg[0] or debug.getinfo(1, 'S').source:sub(2)) .. '/?.lua;' .. package.path
local t = require('support')

t.start(vim.env.PLUGIN)
t.edit(vim.env.PROJECT .. '/people.py')

--- Chooses the entry that holds this text.
local function choose(text)
  local menu = t.answer_select(function(items)
    for index, item in ipairs(items) do
      if item:find(text, 1, true) then
        return index
      end
    end
  end)
  vim.cmd('Greenlit adapter')
  t.wait('a choice of adapters', function()
    return menu.items ~= nil
  end)
  return menu.items
end

local items = choose('style@1')
t.check('it is not said that none is used', items[1] == 'no adapter  (as now)')
t.check('the adapter is not described', items[2]:find('for tiny', 1, true))
t.wait('a word about the adapter', function()
  return t.times_told('style@1 is used here') == 1
end)
vim.cmd('Greenlit status')
local status = t.float()
t.check('the status has no adapter: ' .. status, status:find('  Adapter: style@1', 1, true))
t.check('the status has no model: ' .. status, status:find('Model (small): tiny', 1, true))
vim.cmd('close')
items = choose('no adapter')
t.check('it is not said which one is used', items[2]:find('active here', 1, true))
t.wait('a word about no adapter', function()
  return t.times_told('no adapter is used here') == 1
end)
vim.cmd('qall!')
