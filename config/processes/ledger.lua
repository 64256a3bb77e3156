-- A small ledger: accounts with whole amounts, of which none is ever made or lost by a transfer.
--
--   Action=Deposit   Account, Amount         money comes in from outside; the answer is the account's balance
--   Action=Transfer  From-Account, To-Account, Amount    refused where the account does not hold that much
--   Action=Balance   Account
--   Action=Balances                          all accounts and their sum
--   Action=History   Limit?                  the latest entries, the newest first (10 unless told)
--
-- Handlers write first and look afterwards: an error undoes everything that its message changed.

local KEPT = 100 -- entries of the history

local function amount(msg)
  local number = math.tointeger(tonumber(msg.Amount))
  if number == nil or number <= 0 then error("Amount must be a whole number above 0", 0) end
  return number
end

local function account(msg, tag)
  local name = msg[tag]
  if name == nil or name == "" then error(tag .. " is missing", 0) end
  return name
end

-- Adds to a balance, which stays between 0 and what an integer can hold.
local function add(state, name, change)
  local balance = (state.balances[name] or 0) + change
  if change > 0 and balance < change then error("account " .. name .. " cannot hold that much", 0) end
  if balance < 0 then error("account " .. name .. " holds only " .. (balance - change), 0) end
  state.balances[name] = balance
  return balance
end

local function record(state, entry)
  table.insert(state.history, entry)
  if #state.history > KEPT then table.remove(state.history, 1) end
end

local handlers = {}

function handlers.Deposit(state, msg)
  local name, sum = account(msg, "Account"), amount(msg)
  state.total = state.total + sum
  if state.total < sum then error("the ledger cannot hold that much", 0) end
  record(state, { slot = msg.Slot, to = name, amount = sum })
  return { Account = name, Balance = add(state, name, sum) }
end

function handlers.Transfer(state, msg)
  local from, to, sum = account(msg, "From-Account"), account(msg, "To-Account"), amount(msg)
  record(state, { slot = msg.Slot, from = from, to = to, amount = sum })
  add(state, from, -sum)
  add(state, to, sum)
  return { [from] = state.balances[from], [to] = state.balances[to] }
end

function handlers.Balance(state, msg)
  local name = account(msg, "Account")
  return { Account = name, Balance = state.balances[name] or 0 }
end

function handlers.Balances(state)
  return { Balances = state.balances, Total = state.total }
end

function handlers.History(state, msg)
  local limit = math.tointeger(tonumber(msg.Limit or 10))
  if limit == nil or limit < 0 then error("Limit must be a whole number", 0) end
  local latest, last = {}, #state.history
  for index = last, math.max(1, last - limit + 1), -1 do
    table.insert(latest, state.history[index])
  end
  return latest
end

-- Runs once, before the first message.
function init(state)
  state.balances, state.history, state.total = {}, {}, 0
end

function compute(state, msg)
  local handler = handlers[msg.Action]
  if handler == nil then
    error("Action must be Deposit, Transfer, Balance, Balances or History, not " .. tostring(msg.Action), 0)
  end
  return handler(state, msg)
end
