-- Tables: raw access, metatables, and traversal in an order that is a function of the contents.

function globals.rawget(table, key)
  if type(table) ~= "table" then bad_argument(1, "rawget", "table", type(table)) end
  return native_rawget(shadow[table] or table, key)
end

function globals.rawset(table, key, value)
  if type(table) ~= "table" then bad_argument(1, "rawset", "table", type(table)) end
  if shadow[table] then error(refusal(table, key), 2) end
  if key == nil or key ~= key then error("table index is " .. (key == nil and "nil" or "NaN"), 2) end
  return native_rawset(table, key, value)
end

function globals.rawlen(value)
  if type(value) == "string" then return #value end
  if type(value) ~= "table" then error("table or string expected", 2) end
  return border(shadow[value] or value)
end

function globals.getmetatable(value)
  local found
  if shadow[value] then found = given_metatable[value] else found = metatable(value) end
  if found == nil or found == state_metatable then return nil end
  local shown = native_rawget(found, "__metatable")
  if shown ~= nil then return shown end
  return found
end

function globals.setmetatable(table, new)
  if type(table) ~= "table" then bad_argument(1, "setmetatable", "table", type(table)) end
  if new ~= nil and type(new) ~= "table" then bad_argument(2, "setmetatable", "nil or table", type(new)) end
  if shadow[table] then error("a constant of the script or a library takes no other metatable", 2) end
  local old = metatable(table)
  if old == state_metatable then error("a table of the state takes no metatable; state holds plain data only", 2) end
  if old and native_rawget(old, "__metatable") ~= nil then error("cannot change a protected metatable", 2) end
  if new then
    if native_rawget(new, "__gc") ~= nil then error("__gc is not available: when it runs is chance", 2) end
    if native_rawget(new, "__mode") ~= nil then error("__mode is not available: what it keeps is chance", 2) end
    -- What is frozen cannot get one of them later.
    if not shadow[new] then metatables[new] = true end
  end
  return set_metatable(table, new)
end

-- The order of traversal is a function of the table's contents: numbers, texts, booleans, each ascending.
function globals.pairs(table)
  local meta = metatable(table)
  local custom = meta and native_rawget(meta, "__pairs")
  if custom then
    local step, state, first = custom(table)
    return step, state, first
  end
  if type(table) ~= "table" then bad_argument(1, "pairs", "table", type(table)) end
  local contents = shadow[table] or table
  local sequence, rest, count = keys(contents)
  if sequence == nil then error(no_order(rest), 2) end
  local at, last, epoch = 0, sequence + count, clock.epoch
  return function()
    if epoch ~= clock.epoch then error("an iterator works in the call that made it", 2) end
    while at < last do
      at = at + 1
      local key = at
      if at > sequence then key = rest[at - sequence] end
      local value = native_rawget(contents, key)
      if value ~= nil then return key, value end
    end
  end, table, nil
end

-- The keys behind the one that `next` was last asked for, so that a loop over `next` sorts once.
local cached, cached_keys, cached_at
local ordered = { number = true, string = true, boolean = true }

function globals.next(table, key)
  if type(table) ~= "table" then bad_argument(1, "next", "table", type(table)) end
  local contents = shadow[table] or table
  if key == nil then
    local first, value = least(contents)
    if first == nil and value ~= nil then error(no_order(value), 2) end
    return first, value
  end
  if not ordered[type(key)] then error(no_order(type(key)), 2) end
  if cached ~= contents or cached_keys[cached_at] ~= key then
    local known_order, rest = keys(contents, key)
    if known_order == nil then error(no_order(rest), 2) end
    cached, cached_keys, cached_at = contents, rest or {}, 0
  end
  while true do
    cached_at = cached_at + 1
    local following = cached_keys[cached_at]
    if following == nil then
      cached = nil
      return nil
    end
    local value = native_rawget(contents, following)
    if value ~= nil then return following, value end
  end
end
