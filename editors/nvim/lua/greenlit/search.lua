--- :Greenlit search
local server = require('greenlit.server')
local ui = require('greenlit.ui')

local M = {}

-- As many as fit a window of the quickfix list, about.
local HITS = 20

local function items(answers, encoding)
  local all = {}
  for _, answer in ipairs(answers) do
    for _, hit in ipairs(answer.hits) do
      local item = vim.lsp.util.locations_to_items({ hit.location }, encoding)[1]
      if item then
        local first = vim.trim(vim.split(hit.text, '\n')[1])
        item.text = (hit.symbol or first) .. '  ' .. hit.kind
        table.insert(all, item)
      end
    end
  end
  return all
end

--- Why the answer may be incomplete.
local function notes(answers)
  local all = {}
  for _, answer in ipairs(answers) do
    if answer.degraded then
      table.insert(all, answer.degraded)
    end
  end
  return table.concat(all, '; ')
end

local function open(item)
  vim.cmd("normal! m'")
  vim.cmd.edit(vim.fn.fnameescape(item.filename))
  vim.api.nvim_win_set_cursor(0, { item.lnum, math.max(0, item.col - 1) })
end

local function choose(found)
  vim.ui.select(found, {
    prompt = 'Found',
    kind = 'greenlit.hit',
    format_item = function(item)
      return ('%s:%d  %s'):format(vim.fn.fnamemodify(item.filename, ':~:.'), item.lnum, item.text)
    end,
  }, function(item)
    if item then
      open(item)
    end
  end)
end

--- Searches the open projects; what is found goes into the quickfix list, or with `pick` into
--- `vim.ui.select`.
function M.run(query, pick)
  local params = { query = query, k = HITS }
  if vim.api.nvim_buf_get_name(0) ~= '' and vim.bo.buftype == '' then
    params.near = { vim.uri_from_bufnr(0) }
  end
  server.request('greenlit/search', params, function(answers, client)
    local found = items(answers or {}, client.offset_encoding)
    local note = notes(answers or {})
    if #found == 0 then
      return ui.say('nothing found' .. (note ~= '' and ' (' .. note .. ')' or ''))
    end
    if pick then
      return choose(found)
    end
    local title = 'Greenlit: ' .. query .. (note ~= '' and ' (' .. note .. ')' or '')
    vim.fn.setqflist({}, ' ', { title = title, items = found })
    vim.cmd('botright copen')
  end)
end

--- Asks for what to search, unless it was given.
function M.ask(query, pick)
  if query ~= '' then
    return M.run(query, pick)
  end
  vim.ui.input({ prompt = 'Search: ' }, function(typed)
    if typed and vim.trim(typed) ~= '' then
      M.run(typed, pick)
    end
  end)
end

return M
