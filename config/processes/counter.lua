-- A counter: the smallest process that keeps something.
--
-- `compute` is called once for each message, in order. What it puts into `state` is there at the next message, also after
-- a restart; nothing else is. What it returns is the output. An error leaves the state as it was before the message.

-- Tags are texts. `nil` stands for one: a message need not say how much to add.
local function quantity(text)
  if text == nil then return 1 end
  local number = math.tointeger(tonumber(text))
  if number == nil then error("Quantity must be an integer, not '" .. text .. "'", 0) end
  return number
end

function compute(state, msg)
  local count = state.count or 0

  if msg.Action == "Increment" then
    state.count = count + quantity(msg.Quantity)
    return state.count
  elseif msg.Action == "Get" then
    return count
  end

  error("Action must be Increment or Get, not " .. tostring(msg.Action), 0)
end
