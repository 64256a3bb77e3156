-- The sandbox. It runs before the script, keeps Lua's own functions to itself, and hands the script `globals`: functions
-- whose results depend on the script's data alone, and which a call's limits go through whatever the script catches.
--
-- Compiled without line numbers, so that an error raised here shows the line of the script that called. Errors that the
-- script is meant to see are therefore raised with a level. `#` is Lua's own here: on tables of a script it is `length`.

local native, host = ...
local arm, disarm = native.arm, native.disarm
local charge, ended, die, memory_ended = native.charge, native.ended, native.die, native.memory_ended
local border, keys, least, length = native.border, native.keys, native.least, native.length
local tostring = native.tostring
local metatable, set_metatable, upvalue = native.metatable, native.set_metatable, native.upvalue
local error, type, select, math_type = error, type, select, math.type
local native_next, native_rawget, native_rawset = next, rawget, rawset
local native_pcall, native_xpcall, native_load = pcall, xpcall, load
local native_concat, native_unpack, native_randomseed = table.concat, table.unpack, math.randomseed
local native_create, native_resume, native_close = coroutine.create, coroutine.resume, coroutine.close
local native_status, native_sub = coroutine.status, string.sub

local MANY = 256 -- what handles less is paid for by the instruction that calls
local LASTS = "; keep what should last in state"

-- `epoch` counts runs. Iterators and coroutines work in the run that made them and in no other.
local clock = { epoch = 0 }
-- From each frozen table to its contents, and to the metatable that the script gave it.
local shadow, given_metatable = {}, {}
-- Fields that must stay in frozen tables, because Lua looks them up raw: table, key, value of each in a row.
local guarded, guarded_count = {}, 0
-- Variables that functions of the script keep: name, function, index, value of each in a row.
local watched, watched_count = {}, 0
-- Metatables that the script set in this run.
local metatables = {}
-- Functions and tables of the sandbox itself, which are not the script's to be frozen.
local known = { [clock] = true, [shadow] = true }
-- The environment of the script: its globals while it loads, an empty and frozen table afterwards.
local environment, globals = {}, {}

-- What tables of the state bear, so that they take no other.
local state_metatable = { __metatable = false }

-- The type of an argument; one that is missing reads as `nil`.
local function kind_of(value)
  if value == nil then return "no value" end
  return type(value)
end

-- Raises Lua's own text for a wrong argument at the caller's caller.
local function bad_argument(at, name, expected, got)
  error("bad argument #" .. at .. " to '" .. name .. "' (" .. expected .. " expected, got " .. got .. ")", 3)
end

local function no_order(kind)
  return "a key that is a " .. kind .. " has no order, so the table cannot be traversed"
end

local function refusal(frozen, key)
  if frozen == environment then
    return "global '" .. tostring(key) .. "' is assigned in a call" .. LASTS
  end
  return "field '" .. tostring(key) .. "' of a constant of the script or a library is assigned" .. LASTS
end

local function integer(value, at, name)
  if math_type(value) == "integer" then return value end
  local converted = math.tointeger(value)
  if converted == nil then
    error("bad argument #" .. at .. " to '" .. name .. "' (integer expected, got " .. type(value) .. ")", 3)
  end
  return converted
end
