-- The table library, in Lua: every step of it is counted like one of the script.

local tab = { pack = table.pack }

local function list_argument(list, name)
  if type(list) ~= "table" then
    error("bad argument #1 to '" .. name .. "' (table expected, got " .. kind_of(list) .. ")", 3)
  end
  return list
end

function tab.insert(list, ...)
  list_argument(list, "insert")
  if shadow[list] then error(refusal(list, length(list) + 1), 2) end
  local count, last = select("#", ...), length(list) + 1
  if count == 1 then
    list[last] = (...)
    return
  elseif count ~= 2 then
    error("wrong number of arguments to 'insert'", 2)
  end
  local at, value = ...
  at = integer(at, 2, "insert")
  if at < 1 or at > last then error("bad argument #2 to 'insert' (position out of bounds)", 2) end
  for index = last, at + 1, -1 do list[index] = list[index - 1] end
  list[at] = value
end

function tab.remove(list, at)
  list_argument(list, "remove")
  if shadow[list] then error(refusal(list, at or length(list)), 2) end
  local last = length(list)
  at = at == nil and last or integer(at, 2, "remove")
  if at ~= last and (at < 1 or at > last + 1) then
    error("bad argument #2 to 'remove' (position out of bounds)", 2)
  end
  local removed = list[at]
  while at < last do
    list[at] = list[at + 1]
    at = at + 1
  end
  list[at] = nil
  return removed
end

function tab.move(from, first, last, to, target)
  list_argument(from, "move")
  first, last, to = integer(first, 2, "move"), integer(last, 3, "move"), integer(to, 4, "move")
  if target == nil then target = from end
  if type(target) ~= "table" then bad_argument(5, "move", "table", type(target)) end
  if shadow[target] then error(refusal(target, to), 2) end
  if last < first then return target end
  if not (first > 0 or last < math.maxinteger + first) then
    error("bad argument #3 to 'move' (too many elements to move)", 2)
  end
  if to > math.maxinteger - (last - first) then error("bad argument #4 to 'move' (destination wrap around)", 2) end
  if to > last or to <= first or target ~= from then
    for index = 0, last - first do target[to + index] = from[first + index] end
  else
    for index = last - first, 0, -1 do target[to + index] = from[first + index] end
  end
  return target
end

function tab.unpack(list, first, last)
  list_argument(list, "unpack")
  first = first == nil and 1 or integer(first, 2, "unpack")
  last = last == nil and length(list) or integer(last, 3, "unpack")
  local count = last - first + 1
  if first > last then return end
  if count <= 0 or count >= 1000000 then error("too many results to unpack", 2) end
  if count > MANY then charge(count) end
  return native_unpack(list, first, last)
end

function tab.concat(list, separator, first, last)
  list_argument(list, "concat")
  separator = separator == nil and "" or separator
  if type(separator) == "number" then separator = tostring(separator) end
  if type(separator) ~= "string" then bad_argument(2, "concat", "string", type(separator)) end
  first = first == nil and 1 or integer(first, 3, "concat")
  last = last == nil and length(list) or integer(last, 4, "concat")
  local parts, count, size = {}, 0, 0
  for index = first, last do
    local part = list[index]
    local kind = type(part)
    if kind ~= "string" and kind ~= "number" then
      error("invalid value (at index " .. index .. ") in table for 'concat'", 2)
    end
    count = count + 1
    parts[count] = part
    size = size + (kind == "string" and #part or 8) + #separator
  end
  if size > MANY then charge(size) end
  return native_concat(parts, separator, 1, count)
end

local function ascending(a, b) return a < b end

-- Why two values have no order, in Lua's words; nothing where they have one.
local function incomparable(a, b)
  local one, other = type(a), type(b)
  if one == other and (one == "number" or one == "string") then return nil end
  local meta = metatable(a) or metatable(b)
  if meta and native_rawget(meta, "__lt") then return nil end
  if one == other then return "attempt to compare two " .. one .. " values" end
  return "attempt to compare " .. one .. " with " .. other
end

-- Merges the sorted runs source[low..middle-1] and source[middle..high-1] into target.
local function merge(source, target, low, middle, high, before)
  local left, right = low, middle
  for index = low, high - 1 do
    if left < middle and (right >= high or not before(source[right], source[left])) then
      target[index] = source[left]
      left = left + 1
    else
      target[index] = source[right]
      right = right + 1
    end
  end
end

function tab.sort(list, before)
  list_argument(list, "sort")
  if shadow[list] then error("a constant of the script or a library is sorted" .. LASTS, 2) end
  if before ~= nil and type(before) ~= "function" then bad_argument(2, "sort", "function", type(before)) end
  local count, source, target = length(list), {}, {}
  for index = 1, count do
    local value = list[index]
    source[index] = value
    local problem = before == nil and incomparable(value, source[1])
    if problem then error(problem, 2) end
  end
  if count < 2 then return end
  before = before or ascending
  local width, beyond, least_of = 1, count + 1, math.min
  while width < count do
    for low = 1, count, 2 * width do
      merge(source, target, low, least_of(low + width, beyond), least_of(low + 2 * width, beyond), before)
    end
    source, target = target, source
    width = 2 * width
  end
  for index = 1, count do list[index] = source[index] end
end
