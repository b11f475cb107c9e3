/**
 * The functions that Redis runs for us, each in one step: applying with a before-image and a fence,
 * undoing, letting go of what is settled. They are scripts named by their digest, not a library
 * (`FUNCTION LOAD`): a library stays in the server and in its replicas under a name, so that
 * another version of this program could run ours, and loading it needs rights that few give.
 *
 * Beside each value stands a text in the same slot, one line of words and behind it the image:
 *   1-7    the attempt that holds the key: uow, attempt, digest, kind, expiry, epoch, counter
 *   8-14   the same of the attempt that the image belongs to
 *   15-16  the latest grant seen
 *   17-18  `0` an image of nothing, `1` of a value, `-` none; the expiry of that value
 *   19-    attempts that were undone, as `uow.attempt`
 * `-` stands for what is not there. A text and no hash: it is read, written and given its expiry by
 * one command each, which makes these functions several times as fast.
 */
import { hash } from 'node:crypto';

export interface Script {
  readonly body: string;
  /** What EVALSHA takes. */
  readonly sha: string;
}

function script(body: string): Script {
  const text = `${SHARED}${body}`;
  // The server names scripts by SHA-1; nothing rests on its strength.
  return { body: text, sha: hash('sha1', text, 'hex') };
}

const SHARED = `
local DAY = 86400000
local NONE = '- - - - - - -'
local HEAD = '^' .. string.rep('(%S+) ', 17) .. '(%S+)([^\\n]*)\\n()'
local clock
local function now()
  if not clock then
    local t = redis.call('TIME')
    clock = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
  end
  return clock
end
local function less(e1, c1, e2, c2)
  if e1 ~= e2 then return e1 < e2 end
  return c1 < c2
end
local function read(side)
  local text = redis.call('GET', side)
  if not text then return nil end
  local r = {string.match(text, HEAD)}
  r.text = text
  return r
end
local function buried(r, id)
  return r[19] ~= '' and string.find(r[19] .. ' ', ' ' .. id .. ' ', 1, true) ~= nil
end
local function since(list, below)
  if list == '' then return '' end
  local kept = ''
  for id in string.gmatch(list, '%S+') do
    if tonumber(string.match(id, '^%d+')) >= below then kept = kept .. ' ' .. id end
  end
  return kept
end
local function grantOf(r, e, c)
  if r and less(tonumber(e), tonumber(c), tonumber(r[15]), tonumber(r[16])) then
    return r[15] .. ' ' .. r[16]
  end
  return e .. ' ' .. c
end
-- A day longer than the value or its image, whichever ends later; for ever where one of them stays.
local function keep(side, text, ever, one, other)
  if ever then redis.call('SET', side, text) return end
  local last = math.max(now(), tonumber(one) or 0, tonumber(other) or 0) + DAY
  redis.call('SET', side, text, 'PXAT', string.format('%.0f', last))
end
local function put(name, value, x)
  if not value or (x ~= '-' and tonumber(x) <= now()) then redis.call('DEL', name)
  elseif x == '-' then redis.call('SET', name, value)
  else redis.call('SET', name, value, 'PXAT', x) end
end
`;

/**
 * ARGV: '1' to take images; uow below which tombstones may go; then per attempt: uow, attempt,
 * epoch, counter, digest, kind ('s', 'd'), value, expiry ('-' for none), number of keys.
 * KEYS: name and side key, for each key of each attempt. Returns one word per attempt.
 *
 * An attempt takes effect on all keys given here or on none. One that a later one has overtaken is
 * 'stored': what is there now came after it. A refill (counter below zero) is overtaken only by a
 * later uow, since grants say nothing about what a store lost and got back.
 */
export const APPLY: Script = script(`
local images, below = ARGV[1] == '1', tonumber(ARGV[2])
local RANK = {undone = 3, mismatch = 2, wrongtype = 1}
local at, key, out = 3, 1, {}
local function look(name, side, u, a, e, c, d, kind)
  local r = read(side)
  local row = {name = name, side = side, r = r}
  if r then
    if buried(r, u .. '.' .. a) then return row, 'undone' end
    if r[1] == u and r[2] == a then
      row.same = true
      if r[3] ~= d or r[4] ~= kind then return row, 'mismatch' end
      return row, nil
    end
    if c < 0 then row.covered = r[1] ~= '-' and tonumber(r[1]) > tonumber(u)
    else row.covered = less(e, c, tonumber(r[15]), tonumber(r[16])) end
  end
  if images and not row.covered then
    local old = redis.pcall('GET', name)
    if type(old) == 'table' then return row, 'wrongtype' end
    row.old = old
  end
  return row, nil
end
local function write(row, u, a, e, c, d, kind, value, x)
  local r, image, mark, ip = row.r, '', '-', '-'
  local ever = kind == 's' and x == '-'
  if images then mark = '0' end
  if row.old then
    local p = redis.call('PEXPIRETIME', row.name)
    image, mark = row.old, '1'
    if p >= 0 then ip = string.format('%.0f', p) else ever = true end
  end
  local before = (images and r) and table.concat(r, ' ', 1, 7) or NONE
  local line = {u, a, d, kind, x, e, c, before, grantOf(r, e, c), mark, ip}
  local gone = r and since(r[19], below) or ''
  keep(row.side, table.concat(line, ' ') .. gone .. '\\n' .. image, ever, x, ip)
  put(row.name, kind == 's' and value, x)
end
while ARGV[at] do
  local u, a, e, c, d, kind, value, x, n = unpack(ARGV, at, at + 8)
  at = at + 9
  local verdict, rows = nil, {}
  for i = 1, tonumber(n) do
    local row, fault = look(KEYS[key], KEYS[key + 1], u, a, tonumber(e), tonumber(c), d, kind)
    key = key + 2
    rows[i] = row
    if fault and (not verdict or RANK[fault] > RANK[verdict]) then verdict = fault end
  end
  for _, row in ipairs(verdict and {} or rows) do
    local r = row.r
    if row.same then
      local line = table.concat(r, ' ', 1, 14) .. ' ' .. grantOf(r, e, c) .. ' '
      line = line .. r[17] .. ' ' .. r[18] .. r[19] .. '\\n'
      redis.call('SET', row.side, line .. string.sub(r.text, r[20]), 'KEEPTTL')
    elseif not row.covered then write(row, u, a, e, c, d, kind, value, x) end
  end
  out[#out + 1] = verdict or 'stored'
end
return out
`);

/**
 * ARGV: uow below which tombstones may go; then per attempt: uow, attempt, epoch, counter, value,
 * number of keys. KEYS as above. Returns 'undone' or 'conflict' per attempt. On a conflict nothing
 * changes: a person decides.
 */
export const UNDO: Script = script(`
local below = tonumber(ARGV[1])
local at, key, out = 2, 1, {}
local function look(name, side, u, a, value)
  local r = read(side)
  local row = {name = name, side = side, r = r}
  if not r then return row, false end
  if buried(r, u .. '.' .. a) then row.done = true return row, false end
  if r[1] ~= u or r[2] ~= a then return row, false end
  row.mine = true
  if r[17] == '-' then return row, true end
  local there = redis.pcall('GET', name)
  if r[4] == 'd' then return row, there ~= false end
  if there == false then return row, r[5] == '-' or tonumber(r[5]) > now() end
  return row, there ~= value
end
local function bury(row, id, e, c)
  local r, side = row.r, row.side
  if not r then
    local line = NONE .. ' ' .. NONE .. ' ' .. e .. ' ' .. c .. ' - - ' .. id .. '\\n'
    return keep(side, line, false)
  end
  local grant, gone = grantOf(r, e, c), since(r[19], below) .. ' ' .. id
  if row.mine then
    local line = table.concat(r, ' ', 8, 14) .. ' ' .. NONE .. ' ' .. grant .. ' - -' .. gone
    keep(side, line .. '\\n', r[11] == 's' and r[12] == '-', r[12])
    return put(row.name, r[17] == '1' and string.sub(r.text, r[20]), r[18])
  end
  local line = table.concat(r, ' ', 1, 14) .. ' ' .. grant .. ' ' .. r[17] .. ' ' .. r[18] .. gone
  redis.call('SET', side, line .. '\\n' .. string.sub(r.text, r[20]), 'KEEPTTL')
end
while ARGV[at] do
  local u, a, e, c, value, n = unpack(ARGV, at, at + 5)
  at = at + 6
  local conflict, rows = false, {}
  for i = 1, tonumber(n) do
    local row, foreign = look(KEYS[key], KEYS[key + 1], u, a, value)
    key = key + 2
    rows[i] = row
    conflict = conflict or foreign
  end
  for _, row in ipairs(conflict and {} or rows) do
    if not row.done then bury(row, u .. '.' .. a, e, c) end
  end
  out[#out + 1] = conflict and 'conflict' or 'undone'
end
return out
`);

/**
 * ARGV: uow below which all is settled; '1' when nothing late can arrive any more, so that fences
 * may go too. KEYS: side keys. Returns how many were let go of.
 */
export const SETTLE: Script = script(`
local below, all, gone = tonumber(ARGV[1]), ARGV[2] == '1', 0
for _, side in ipairs(KEYS) do
  local r = read(side)
  if r and (r[1] == '-' or tonumber(r[1]) < below) then
    local kept = since(r[19], below)
    if all and kept == '' then gone = gone + redis.call('DEL', side)
    elseif r[17] ~= '-' then
      local line = table.concat(r, ' ', 1, 7) .. ' ' .. NONE .. ' ' .. r[15] .. ' ' .. r[16]
      redis.call('SET', side, line .. ' - -' .. kept .. '\\n', 'KEEPTTL')
      gone = gone + 1
    end
  end
end
return gone
`);

/**
 * Rows for readers, as the transactions of src/adapters/redis/gather.ts give them, for when those
 * are not to be had: a server whose memory is full queues no commands, but goes on running
 * functions that only read. ARGV: '1' when another name stands beside each name in KEYS.
 */
export const READ = `
local step, out = ARGV[1] == '1' and 2 or 1, {}
local time = redis.call('TIME')
for i = 1, #KEYS, step do
  local value = redis.pcall('GET', KEYS[i])
  if type(value) == 'table' then value = false end
  local side = false
  if step == 2 then side = redis.call('GET', KEYS[i + 1]) end
  out[#out + 1] = {value, redis.call('PTTL', KEYS[i]), side, 0, time}
end
return out
`;

export const SCRIPTS: readonly Script[] = [APPLY, UNDO, SETTLE];
