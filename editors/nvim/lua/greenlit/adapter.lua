--- :Greenlit adapter
local program = require('greenlit.program')
local server = require('greenlit.server')
local ui = require('greenlit.ui')

local M = {}

local NONE = 'no adapter'

local function describe(entry, active)
  if entry == NONE then
    return NONE .. (#active > 0 and '' or '  (as now)')
  end
  local facts = { entry.kind, 'for ' .. entry.model, ('%.1f MB'):format(entry.bytes / 1e6) }
  if vim.tbl_contains(active, entry.name) then
    table.insert(facts, 1, 'active here')
  end
  return ('%s  (%s)'):format(entry.name, table.concat(facts, ', '))
end

local function done(report)
  local notes = #report.notes > 0 and ('. ' .. table.concat(report.notes, '. ')) or ''
  local used = #report.active > 0 and table.concat(report.active, ' + ') or NONE
  ui.say(('%s is used here'):format(used) .. notes)
end

--- The adapters that there are; the project of the current buffer uses the chosen one from then on.
function M.choose()
  local root = server.root() or vim.fn.getcwd()
  program.ask({ 'adapter', 'list', '--root', root }, function(report)
    if #report.adapters == 0 then
      return ui.say('there is no adapter; `greenlit adapter add DIR` takes one in')
    end
    vim.ui.select(vim.list_extend({ NONE }, report.adapters), {
      prompt = 'Write fixes here with',
      kind = 'greenlit.adapter',
      format_item = function(entry)
        return describe(entry, report.active)
      end,
    }, function(entry)
      if entry == NONE then
        program.ask({ 'adapter', 'deactivate', '--root', root }, done)
      elseif entry then
        program.ask({ 'adapter', 'activate', entry.name, '--root', root }, done)
      end
    end)
  end)
end

return M
