//! Scripts that more than one test runs.

/// Counts its messages.
pub const COUNTER: &str = "
function compute(state, msg)
  state.count = (state.count or 0) + 1
  return state.count
end
";

/// Counts on in steps of ten.
pub const COUNTER_BY_TEN: &str = "
function compute(state, msg)
  state.count = (state.count or 0) + 10
  return state.count
end
";
