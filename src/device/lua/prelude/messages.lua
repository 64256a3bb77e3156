-- What a call sends, spawns and assigns.

-- `level` is that of an error in the function that calls this one.
local function as_text(value, what, level)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" or kind == "boolean" then return tostring(value) end
  error(what .. " is a " .. kind .. "; it must be a text, a number or a boolean", level + 1)
end

local function optional(value, what, level)
  if value == nil then return "" end
  return as_text(value, what, level) -- in place of this function, so at the same level
end

-- Appends names and texts: of a list {{name=, value=}} in its order, of a map in the order of names.
local function append_tags(tags, from, what, level)
  if type(from) ~= "table" then error(what .. " is a " .. type(from) .. "; it must be a table", level + 1) end
  if type(from[1]) == "table" then
    for index = 1, length(from) do
      local entry = from[index]
      local place = what .. "[" .. index .. "]"
      if type(entry) ~= "table" then error(place .. " must be a table with name and value", level + 1) end
      tags[#tags + 1] = as_text(entry.name, place .. ".name", level + 1)
      tags[#tags + 1] = as_text(entry.value, place .. ".value", level + 1)
    end
    return
  end
  for name, value in globals.pairs(from) do
    if type(name) ~= "string" then error(what .. "[" .. tostring(name) .. "]: a tag's name must be a text", level + 1) end
    tags[#tags + 1] = name
    tags[#tags + 1] = as_text(value, what .. "." .. name, level + 1)
  end
end

-- The tags of a table of fields: those in `Tags`, then every field that has no meaning of its own.
local function tags_of(fields, own, verb)
  local tags, others = {}, {}
  if fields.Tags ~= nil then append_tags(tags, fields.Tags, verb .. ": Tags", 3) end
  for name, value in globals.pairs(fields) do
    if not own[name] then others[name] = value end
  end
  append_tags(tags, others, verb, 3)
  return tags
end

local function fields_argument(fields, verb)
  if type(fields) ~= "table" then
    error(verb .. " takes a table of fields, as in " .. verb .. "{...}, not a " .. type(fields), 3)
  end
end

local sent_fields = { Target = true, Data = true, Anchor = true, Tags = true }

function globals.send(fields)
  fields_argument(fields, "send")
  if fields.Target == nil then error("send: Target is missing", 2) end
  local target = as_text(fields.Target, "send: Target", 2)
  local data, anchor = optional(fields.Data, "send: Data", 2), optional(fields.Anchor, "send: Anchor", 2)
  local problem = host.send(target, data, anchor, tags_of(fields, sent_fields, "send"))
  if problem then error("send: " .. problem, 2) end
end

local spawned_fields = { Device = true, Source = true, Module = true, Data = true, Anchor = true, Tags = true }

function globals.spawn(fields)
  fields_argument(fields, "spawn")
  local source, module = fields.Source, fields.Module
  if (source == nil) == (module == nil) then error("spawn: one of Source and Module is needed", 2) end
  source = source ~= nil and as_text(source, "spawn: Source", 2) or nil
  module = module ~= nil and as_text(module, "spawn: Module", 2) or nil
  local device = fields.Device == nil and "lua" or as_text(fields.Device, "spawn: Device", 2)
  local data, anchor = optional(fields.Data, "spawn: Data", 2), optional(fields.Anchor, "spawn: Anchor", 2)
  local tags = tags_of(fields, spawned_fields, "spawn")
  local problem = host.spawn(device, source, module, data, anchor, tags)
  if problem then error("spawn: " .. problem, 2) end
end

function globals.assign(fields)
  fields_argument(fields, "assign")
  if fields.Message == nil then error("assign: Message is missing", 2) end
  if type(fields.Processes) ~= "table" then error("assign: Processes must be a list of process ids", 2) end
  local processes = {}
  for index = 1, length(fields.Processes) do
    processes[index] = as_text(fields.Processes[index], "assign: Processes[" .. index .. "]", 2)
  end
  local problem = host.assign(processes, as_text(fields.Message, "assign: Message", 2))
  if problem then error("assign: " .. problem, 2) end
end
