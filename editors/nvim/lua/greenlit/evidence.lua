--- :Greenlit evidence
local server = require('greenlit.server')
local ui = require('greenlit.ui')

local M = {}

--- What was run on a fix that is offered on the cursor's line.
function M.show(mods)
  local function params(client)
    local here = vim.lsp.util.make_range_params(0, client.offset_encoding)
    here.context = { diagnostics = {}, only = { 'quickfix' } }
    return here
  end
  local function choose(action)
    if action then
      server.execute('greenlit.showEvidence', { action.data.fix }, function(text)
        ui.show(vim.split(vim.trim(text), '\n'), { title = 'Evidence', filetype = 'markdown', mods = mods })
      end)
    end
  end
  server.request('textDocument/codeAction', params, function(actions)
    if not actions or #actions == 0 then
      return ui.say('no fix is on offer on this line')
    elseif #actions == 1 then
      return choose(actions[1])
    end
    vim.ui.select(actions, {
      prompt = 'Evidence for which fix?',
      kind = 'greenlit.fix',
      format_item = function(action)
        return action.title
      end,
    }, choose)
  end)
end

return M
