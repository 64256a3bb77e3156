-- What the script leaves when it has loaded is frozen, and looked at again after each call.

-- What a frozen table's metatable does where the script gave it one: the same, but without a way to the contents.
local function index_through(contents, index)
  if type(index) == "function" then
    return function(self, key)
      local value = native_rawget(contents, key)
      if value ~= nil then return value end
      return index(self, key)
    end
  end
  return function(_, key)
    local value = native_rawget(contents, key)
    if value ~= nil then return value end
    return index[key]
  end
end

local function is_meta_field(key)
  return type(key) == "string" and native_sub(key, 1, 2) == "__"
end

local function refuse(frozen, key)
  error(refusal(frozen, key), 2)
end

-- Empties a table and puts its contents behind it, for reading only.
local function freeze(table, contents)
  local given = metatable(table)
  if table == environment then given = nil end
  for key, value in native_next, table do contents[key] = value end
  for key, value in native_next, contents do
    if is_meta_field(key) and native_rawget(table, key) ~= nil then
      guarded[guarded_count + 1], guarded[guarded_count + 2], guarded[guarded_count + 3] = table, key, value
      guarded_count = guarded_count + 3
    else
      native_rawset(table, key, nil)
    end
  end
  local meta = {}
  if given then
    for key, value in native_next, given do
      if is_meta_field(key) then meta[key] = value end
    end
  end
  local index = meta.__index
  meta.__index = index == nil and contents or index_through(contents, index)
  meta.__newindex, meta.__metatable = refuse, false
  if meta.__len == nil then
    meta.__len = function() return border(contents) end
  end
  shadow[table], given_metatable[table] = contents, given
  set_metatable(table, meta)
end

local function freeze_script()
  local seen_upvalues, queue, first, last = {}, { environment }, 1, 1
  local seen, tables = { [environment] = true }, {}
  local function meet(value)
    local kind = type(value)
    if (kind == "table" or kind == "function") and not seen[value] and not known[value] and not shadow[value] then
      seen[value] = true
      last = last + 1
      queue[last] = value
    end
  end
  while first <= last do
    local item = queue[first]
    queue[first] = nil
    first = first + 1
    if type(item) == "table" then
      if item ~= environment then
        tables[#tables + 1] = item
        meet(metatable(item))
      end
      for key, value in native_next, item do
        meet(key)
        meet(value)
      end
    else
      local index = 1
      while true do
        local name, value, id = upvalue(item, index)
        if name == nil then break end
        if not seen_upvalues[id] then
          seen_upvalues[id] = true
          local at = watched_count * 4
          watched[at + 1], watched[at + 2], watched[at + 3], watched[at + 4] = name, item, index, value
          watched_count = watched_count + 1
          meet(value)
        end
        index = index + 1
      end
    end
  end
  for index = 1, #tables do freeze(tables[index], {}) end
  local contents = {}
  for name, value in native_next, globals do contents[name] = value end
  freeze(environment, contents)
  globals = contents
end

-- Gives variables and raw fields of the script back what they held, and says what a call had changed.
local function settle()
  disarm()
  local changed = native.restore_upvalues(watched, watched_count)
  if changed then changed = "local '" .. changed .. "' of the script was changed by a call" .. LASTS end
  local field
  for at = 1, guarded_count, 3 do
    local table, key, value = guarded[at], guarded[at + 1], guarded[at + 2]
    if native_rawget(table, key) ~= value then
      native_rawset(table, key, value)
      if field == nil or key < field then field = key end
    end
  end
  if changed == nil and field then
    changed = "field '" .. field .. "' of a constant of the script was changed by a call" .. LASTS
  end
  for meta in native_next, metatables do
    if changed == nil and native_rawget(meta, "__mode") ~= nil then
      changed = "__mode is not available: what it keeps is chance"
    end
  end
  metatables = {}
  return changed
end
