-- Requests of one run of wrk, made before it begins, so that the generator never waits for itself.
-- Arguments: method, path before the key, number of keys, length of a body, reading or writing.

local requests = {}
local at = 0

function init(arguments)
  local method, path = arguments[1], arguments[2]
  local keys, bytes = tonumber(arguments[3]), tonumber(arguments[4])
  for number = 1, keys do
    local key = string.format("key-%05d", number)
    local body = nil
    if method == "PUT" then
      local text = '{"key":"' .. key .. '","text":"'
      body = text .. string.rep("x", bytes - #text - 2) .. '"}'
    end
    local headers = { ["Content-Type"] = "application/json" }
    requests[number] = wrk.format(method, path .. key, headers, body)
  end
  -- A stride that shares no factor with the number of keys: neighbours in time are not in name.
  at = math.random(keys)
end

function request()
  at = at + 7919
  if at > #requests then at = at % #requests + 1 end
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  local wrong = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%.6f,"wrong":%d,"p50Ms":%.4f,"p99Ms":%.4f}\n',
    summary.requests, summary.duration / 1e6, wrong,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
