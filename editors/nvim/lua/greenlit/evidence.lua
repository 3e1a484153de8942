--- :Greenlit evidence
local offered = require('greenlit.offered')
local server = require('greenlit.server')
local ui = require('greenlit.ui')

local M = {}

--- What was run on a fix that is offered on the cursor's line.
function M.show(mods)
  offered.choose('Evidence for which fix?', function(fix)
    server.execute('greenlit.showEvidence', { fix }, function(text)
      ui.show(vim.split(vim.trim(text), '\n'), { title = 'Evidence', filetype = 'markdown', mods = mods })
    end)
  end)
end

return M
