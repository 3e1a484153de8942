--- The fixes on offer on the cursor's line.
local server = require('greenlit.server')
local ui = require('greenlit.ui')

local M = {}

--- Calls `on_fix(id, title)` with the only fix, or with the one that the person chooses.
function M.choose(prompt, on_fix)
  local function params(client)
    local here = vim.lsp.util.make_range_params(0, client.offset_encoding)
    here.context = { diagnostics = {}, only = { 'quickfix' } }
    return here
  end
  local function chosen(action)
    if action then
      on_fix(action.data.fix, action.title)
    end
  end
  server.request('textDocument/codeAction', params, function(actions)
    if not actions or #actions == 0 then
      return ui.say('no fix is on offer on this line')
    elseif #actions == 1 then
      return chosen(actions[1])
    end
    vim.ui.select(actions, {
      prompt = prompt,
      kind = 'greenlit.fix',
      format_item = function(action)
        return action.title
      end,
    }, chosen)
  end)
end

--- :Greenlit dismiss
function M.dismiss()
  M.choose('Dismiss which fix?', function(fix, title)
    server.execute('greenlit.dismissFix', { fix }, function()
      ui.say('no longer offered: ' .. title)
    end)
  end)
end

return M
