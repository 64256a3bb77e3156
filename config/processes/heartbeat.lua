-- A heartbeat: the clock sends it a message every few seconds, and it logs how long ago the one before came.
--
-- The first beat after an outage tells how long that was. `Action = "Report"` asks for all that it knows.

local LATE = 60 * 1000 -- from here on a gap is an outage, in milliseconds

function compute(state, msg)
  state.beats = state.beats or 0
  state.outages = state.outages or 0

  if msg.Action == "Report" then
    return { Beats = state.beats, Outages = state.outages, Longest = state.longest or 0 }
  elseif msg.Action ~= "Beat" then
    error("Action must be Beat or Report, not " .. tostring(msg.Action), 0)
  end

  local gap = msg.Timestamp - (state.last or msg.Timestamp)
  state.last = msg.Timestamp
  state.beats = state.beats + 1
  state.longest = math.max(state.longest or 0, gap)
  if gap >= LATE then
    state.outages = state.outages + 1
    print("beat " .. state.beats .. " after an outage of " .. gap // 1000 .. " s")
  else
    print("beat " .. state.beats .. ", " .. gap .. " ms after the last")
  end
  return state.beats
end
