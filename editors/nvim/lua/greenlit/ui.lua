--- Messages and windows.
local M = {}

--- A message for the person; never from within a callback that must not touch the screen.
function M.say(message, level)
  vim.schedule(function()
    vim.notify('Greenlit: ' .. message, level or vim.log.levels.INFO)
  end)
end

function M.warn(message)
  M.say(message, vim.log.levels.WARN)
end

function M.fail(message)
  M.say(message, vim.log.levels.ERROR)
end

local function scratch(lines, filetype)
  local bufnr = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, lines)
  vim.bo[bufnr].bufhidden = 'wipe'
  vim.bo[bufnr].modifiable = false
  vim.bo[bufnr].filetype = filetype
  vim.keymap.set('n', 'q', '<cmd>close<cr>', { buffer = bufnr, desc = 'Close' })
  return bufnr
end

local function float(bufnr, lines, title)
  local widest = #title
  for _, line in ipairs(lines) do
    widest = math.max(widest, vim.fn.strdisplaywidth(line))
  end
  local width = math.max(1, math.min(widest + 1, vim.o.columns - 4))
  local height = math.max(1, math.min(#lines, vim.o.lines - vim.o.cmdheight - 4))
  local window = vim.api.nvim_open_win(bufnr, true, {
    relative = 'editor',
    width = width,
    height = height,
    col = math.floor((vim.o.columns - width) / 2),
    row = math.max(0, math.floor((vim.o.lines - height) / 2) - 1),
    style = 'minimal',
    border = 'rounded',
    title = ' ' .. title .. ' ',
  })
  vim.wo[window].wrap = true
  vim.wo[window].linebreak = true
end

--- Shows text to read: in a floating window, or in a split where `mods` (those of a user command)
--- asks for one: `:vertical Greenlit evidence`, `:tab Greenlit status`. `q` closes it.
function M.show(lines, options)
  local bufnr = scratch(lines, options.filetype or 'greenlit')
  local mods = options.mods or {}
  local tab = (mods.tab or -1) >= 0
  if not (mods.vertical or tab or (mods.split or '') ~= '') then
    return float(bufnr, lines, options.title)
  end
  vim.cmd({ cmd = 'sbuffer', args = { tostring(bufnr) }, mods = mods })
end

return M
