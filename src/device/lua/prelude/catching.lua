-- Catching errors, and coroutines: a limit goes through all of it.

local function finish(ok, ...)
  if not ok then
    if ended() then die() end
    local problem = ...
    if problem == "not enough memory" or type(problem) == "userdata" then memory_ended() end
  end
  return ok, ...
end

function globals.pcall(...)
  return finish(native_pcall(...))
end

function globals.xpcall(called, handler, ...)
  if type(handler) ~= "function" then bad_argument(2, "xpcall", "function", type(handler)) end
  -- An error of a limit comes from the hook, and within the hook no other hook would stop the handler.
  return finish(native_xpcall(called, function(problem)
    if ended() then return problem end
    return handler(problem)
  end, ...))
end

local born = set_metatable({}, { __mode = "k" })
known[born] = true
local EARLIER = "cannot resume a coroutine of an earlier call"

local co = {}
for _, name in native_next, { "isyieldable", "running", "status", "yield" } do co[name] = coroutine[name] end

function co.create(body)
  if type(body) ~= "function" then bad_argument(1, "create", "function", type(body)) end
  charge(100)
  local thread = native_create(body)
  born[thread] = clock.epoch
  return thread
end

function co.resume(thread, ...)
  if type(thread) ~= "thread" then bad_argument(1, "resume", "coroutine", type(thread)) end
  if born[thread] ~= clock.epoch and native_status(thread) == "suspended" then return false, EARLIER end
  return finish(native_resume(thread, ...))
end

function co.close(thread)
  if type(thread) ~= "thread" then bad_argument(1, "close", "coroutine", type(thread)) end
  local status = native_status(thread)
  if status ~= "suspended" and status ~= "dead" then error("cannot close a " .. status .. " coroutine", 2) end
  if born[thread] ~= clock.epoch then error(EARLIER, 2) end
  return finish(native_close(thread))
end

local function unwrap(thread, ok, ...)
  if ok then return ... end
  finish(false, ...)
  finish(native_close(thread))
  error((...), 0)
end
known[unwrap] = true

function co.wrap(body)
  if type(body) ~= "function" then bad_argument(1, "wrap", "function", type(body)) end
  local thread = co.create(body)
  return function(...)
    local status = native_status(thread)
    if status ~= "suspended" then
      error("cannot resume " .. (status == "dead" and "dead" or "non-suspended") .. " coroutine", 2)
    end
    if born[thread] ~= clock.epoch then error(EARLIER, 2) end
    return unwrap(thread, native_resume(thread, ...))
  end
end
