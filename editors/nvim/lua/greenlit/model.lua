--- :Greenlit model
local program = require('greenlit.program')
local ui = require('greenlit.ui')

local M = {}

local function describe(model)
  local state = model.in_use and 'in use' or model.installed and 'installed' or 'not installed'
  local facts = { state }
  if model.bytes then
    table.insert(facts, ('%.0f MB'):format(model.bytes / 1e6))
  end
  table.insert(facts, model.licence)
  return ('%s  (%s)  %s'):format(model.name, table.concat(facts, ', '), model.about)
end

local function done(report)
  local note = report.degraded and ('. ' .. report.degraded) or ''
  ui.say(('searches by meaning with %s'):format(report.in_use or 'no model') .. note)
end

--- Downloads only after a yes to what `greenlit model pull` says it would download: names, sizes,
--- licences and where from.
local function consent(model, plan)
  vim.ui.select({ 'Download', 'Not now' }, {
    prompt = plan .. '. Your code stays on this machine.',
  }, function(answer)
    if answer == 'Download' then
      program.ask({ 'model', 'pull', model.name, '--yes' }, done)
    end
  end)
end

local function pull(model)
  program.run({ 'model', 'pull', model.name, '--json' }, function(ran)
    local ok, object = pcall(vim.json.decode, ran.stdout, { luanil = { object = true } })
    if ok and type(object) == 'table' and not object.error then
      return done(object)
    end
    local failure = ok and type(object) == 'table' and object.error or {}
    local items = vim.trim(ran.stderr or '')
    if failure.kind == 'bad-request' and items ~= '' then
      return consent(model, items .. '\n' .. failure.message)
    end
    ui.fail(program.failure(ran, object))
  end)
end

local function use(model)
  if model.in_use then
    ui.say(model.name .. ' is in use')
  elseif model.installed and not model.bytes then
    -- One of the person's own directories: nothing of it is in a catalogue to be pulled.
    program.ask({ 'model', 'add', model.path, '--name', model.name }, done)
  else
    pull(model)
  end
end

--- The models that there are; the chosen one is used from then on.
function M.choose()
  program.ask({ 'model', 'list' }, function(report)
    local models = vim.tbl_filter(function(model)
      return model.kind == 'embedding'
    end, report.models)
    if #models == 0 then
      return ui.say('there is no model')
    elseif report.configured then
      ui.say('`embedding.model` in your configuration says which model is used')
    end
    vim.ui.select(models, {
      prompt = 'Search by meaning with',
      kind = 'greenlit.model',
      format_item = describe,
    }, function(model)
      if model then
        use(model)
      end
    end)
  end)
end

return M
