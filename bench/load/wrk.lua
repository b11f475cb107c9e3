-- Requests of one run of wrk. Those for a set of keys are made before it begins, so that the
-- generator never waits for itself; those with a key each are put together from made pieces.
-- Arguments: method, path before the key, number of keys, length of a body (reading or writing),
-- number to count distinct keys from (0: keys of the set), path after the key.

local requests = {}
local at = 0
local head, middle, tail

local function make(method, path, key, suffix, bytes)
  local body = nil
  if method == "PUT" then
    local text = '{"key":"' .. key .. '","text":"'
    body = text .. string.rep("x", bytes - #text - 2) .. '"}'
  end
  local headers = { ["Content-Type"] = "application/json" }
  return wrk.format(method, path .. key .. suffix, headers, body)
end

-- Cuts a request for a key of the usual length where the key stands: in the path and in the body.
local function cut(method, path, suffix, bytes)
  local mark = "key-" .. string.rep("0", #tostring(at))
  local whole = make(method, path, mark, suffix, bytes)
  local first = whole:find(mark, 1, true)
  local second = whole:find(mark, first + 1, true)
  head = whole:sub(1, first - 1)
  middle = whole:sub(first + #mark, second and second - 1 or -1)
  tail = second and whole:sub(second + #mark)
end

function init(arguments)
  local method, path = arguments[1], arguments[2]
  local keys, bytes = tonumber(arguments[3]), tonumber(arguments[4])
  local suffix = arguments[6] or ""
  at = tonumber(arguments[5] or 0)
  if at > 0 then
    cut(method, path, suffix, bytes)
    return
  end
  for number = 1, keys do
    requests[number] = make(method, path, string.format("key-%05d", number), suffix, bytes)
  end
  -- A stride that shares no factor with the number of keys: neighbours in time are not in name.
  at = math.random(keys)
end

function request()
  if head then
    at = at + 1
    local key = "key-" .. at
    if tail then return head .. key .. middle .. key .. tail end
    return head .. key .. middle
  end
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
