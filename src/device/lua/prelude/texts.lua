-- The string library, and what else makes or reads text.

local str = {}
for name, charged in native_next, native.string do str[name] = charged end

local function text_argument(value, at, name)
  if type(value) == "string" then return value end
  if type(value) == "number" then return tostring(value) end
  error("bad argument #" .. at .. " to '" .. name .. "' (string expected, got " .. kind_of(value) .. ")", 3)
end

local function found(first, ...)
  -- The host answers `false` and a text where the pattern is at fault. This is always called last, in place of its caller.
  if first == false then error((...), 2) end
  return first, ...
end

function str.find(text, pattern, init, plain)
  text, pattern = text_argument(text, 1, "find"), text_argument(pattern, 2, "find")
  init = init == nil and 1 or integer(init, 3, "find")
  return found(host.find(text, pattern, init, plain and true or false))
end

function str.match(text, pattern, init)
  text, pattern = text_argument(text, 1, "match"), text_argument(pattern, 2, "match")
  init = init == nil and 1 or integer(init, 3, "match")
  return found(host.match(text, pattern, init))
end

function str.gmatch(text, pattern, init)
  text, pattern = text_argument(text, 1, "gmatch"), text_argument(pattern, 2, "gmatch")
  init = init == nil and 1 or integer(init, 3, "gmatch")
  local matches, epoch = host.matches(text, init), clock.epoch
  local step = host.step
  return function()
    if epoch ~= clock.epoch then error("an iterator works in the call that made it", 2) end
    return found(step(matches, text, pattern))
  end
end

local function keep(...) return { ... }, select("#", ...) end

-- Replaces by what a table holds or a function returns for each match. Called last, in place of its caller.
local function substitute(text, pattern, replacement, most)
  local matches, parts, count, done = host.matches(text, nil), {}, 0, 1
  local is_table, replaced = type(replacement) == "table", 0
  while replaced < most do
    local values, number = keep(host.step_replace(matches, text, pattern))
    local first, last = values[1], values[2]
    if first == false then error(last, 2) end
    if first == nil then break end
    local value
    if is_table then value = replacement[values[3]] else value = replacement(native_unpack(values, 3, number)) end
    local kind = type(value)
    if not value then
      value = native_sub(text, first, last)
    elseif kind ~= "string" and kind ~= "number" then
      error("invalid replacement value (a " .. kind .. ")", 2)
    end
    parts[count + 1] = native_sub(text, done, first - 1)
    parts[count + 2] = value
    count, done, replaced = count + 2, last + 1, replaced + 1
  end
  parts[count + 1] = native_sub(text, done)
  local result = native_concat(parts)
  if #result > MANY then charge(#result) end
  return result, replaced
end

function str.gsub(text, pattern, replacement, most)
  text, pattern = text_argument(text, 1, "gsub"), text_argument(pattern, 2, "gsub")
  most = most == nil and #text + 1 or integer(most, 4, "gsub")
  local kind = type(replacement)
  if kind == "table" or kind == "function" then return substitute(text, pattern, replacement, most) end
  if kind ~= "string" and kind ~= "number" then
    bad_argument(3, "gsub", "string/function/table", kind_of(replacement))
  end
  return found(host.gsub(text, pattern, tostring(replacement), most))
end

local mathematics = {}
for name, value in native_next, math do mathematics[name] = value end

function mathematics.randomseed(...)
  if select("#", ...) == 0 then error("math.randomseed needs a number, so that chance can be repeated", 2) end
  return native_randomseed(...)
end

local utf = { charpattern = utf8.charpattern, codes = utf8.codes }
for name, charged in native_next, native.utf8 do utf[name] = charged end

function globals.load(chunk, name, mode, ...)
  if type(chunk) == "function" then
    local parts, count = {}, 0
    while true do
      local part = chunk()
      if part == nil or part == "" then break end
      if type(part) ~= "string" then return nil, "reader function must return a string" end
      count = count + 1
      parts[count] = part
    end
    chunk, name = native_concat(parts), name or "=(load)"
  elseif type(chunk) ~= "string" then
    bad_argument(1, "load", "string", type(chunk))
  end
  if mode ~= nil and mode ~= "t" and mode ~= "bt" then
    return nil, "attempt to load a chunk in mode '" .. tostring(mode) .. "'; only text is loaded"
  end
  charge(#chunk)
  local target = environment
  if select("#", ...) > 0 then target = (...) end
  local loaded, problem = native_load(host.prepared(chunk), text_argument(name or chunk, 2, "load"), "t", target)
  if not loaded then
    finish(loaded, problem)
    return nil, problem
  end
  return loaded
end

function globals.print(...)
  local parts, count = keep(...)
  for index = 1, count do parts[index] = tostring(parts[index]) end
  host.print(native_concat(parts, "\t", 1, count))
end

globals.tostring = tostring
globals._VERSION = _VERSION
for _, name in native_next, { "assert", "error", "ipairs", "rawequal", "type" } do globals[name] = _G[name] end
for name, charged in native_next, native.base do globals[name] = charged end
