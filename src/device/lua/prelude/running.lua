-- What the host calls.

local function describe(problem)
  local kind = type(problem)
  if kind == "string" then
    -- What Lua puts before an error of this file.
    if native_sub(problem, 1, 6) == "?:-1: " then return native_sub(problem, 7) end
    return problem
  elseif kind == "table" then
    local meta = metatable(problem)
    if meta and native_rawget(meta, "__tostring") then return tostring(problem) end
    local message = native_rawget(shadow[problem] or problem, "message")
    if type(message) == "string" then return message end
  elseif kind == "number" then
    return tostring(problem)
  end
  return "(error object is a " .. kind .. ")"
end

-- Runs a function of the script: true and its result, or false and the text of its error.
local function run(body, seed, more_seed, state, message)
  clock.epoch = clock.epoch + 1
  cached, cached_keys = nil, nil
  native_randomseed(seed, more_seed)
  arm()
  local ok, result = finish(native_pcall(body, state, message))
  if ok then return true, result end
  local said, text = finish(native_pcall(describe, result))
  return false, said and text or "(the error cannot be shown)"
end

local function install(name, library)
  for _, value in native_next, library do known[value] = true end
  freeze(library, {})
  globals[name] = library
end
install("string", str)
install("table", tab)
install("coroutine", co)
install("math", mathematics)
install("utf8", utf)
for _, value in native_next, globals do known[value] = true end
globals._G = environment
set_metatable(environment, { __index = globals })
local string_metatable = metatable("")
string_metatable.__index, string_metatable.__metatable = shadow[str], false

return {
  run = run,
  settle = settle,
  freeze = freeze_script,
  environment = environment,
  global = function(name) return native_rawget(globals, name) end,
  state_metatable = state_metatable,
  shadow = shadow,
}
