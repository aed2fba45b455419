"""The Lua scripts of the Redis store: each write is one of them, so each is one atomic step.

A record is one field of one hash, as text::

    VERSION CHANGE UPDATED_US EXPIRES_US DELETED\\nWRITER\\nDATA

with times in microseconds since the Unix epoch, by the clock of Redis (one clock for all writers),
and ``EXPIRES_US`` 0 for never. The order of changes is a sorted set. Every key is declared, and all
three share one hash tag: in a Cluster they live in one slot, which an order of changes over the
whole memory needs.
"""

from __future__ import annotations

_COMMON = """
local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function parts(raw)
  return string.match(raw, '^(%d+) (%d+) (%d+) (%d+) ([01])\\n')
end

-- The version that stands ('0' where none does), and the newest ever written.
local function versions(raw, now)
  if not raw then
    return '0', '0'
  end
  local version, _, _, expires, deleted = parts(raw)
  if deleted == '1' or (expires ~= '0' and tonumber(expires) <= now) then
    return '0', version
  end
  return version, version
end

local function put(id, newest, now, expires, deleted, writer, data)
  local change = redis.call('INCR', KEYS[3])
  local raw = string.format('%.0f %.0f %.0f %.0f %s', newest + 1, change, now, expires, deleted)
    .. '\\n' .. writer .. '\\n' .. data
  redis.call('HSET', KEYS[1], id, raw)
  redis.call('ZADD', KEYS[2], change, id)
  return raw
end
"""

SAVE = (
    _COMMON
    + """
-- ARGV: id, data, expected version, writer, time to live in microseconds or 0
-- Returns: 'ok' or 'conflict', what stands, now.
local id, data, expected, writer, ttl = unpack(ARGV)
local now = now_us()
local raw = redis.call('HGET', KEYS[1], id)
local standing, newest = versions(raw, now)
if standing ~= expected then
  return {'conflict', standing ~= '0' and raw or '', string.format('%.0f', now)}
end
local expires = ttl == '0' and 0 or now + tonumber(ttl)
local written = put(id, tonumber(newest), now, expires, '0', writer, data)
return {'ok', written, string.format('%.0f', now)}
"""
)

DELETE = (
    _COMMON
    + """
-- ARGV: id, expected version, writer
-- Returns: 'ok', 'conflict' or 'absent', what stands, now.
local id, expected, writer = unpack(ARGV)
local now = now_us()
local raw = redis.call('HGET', KEYS[1], id)
local standing, newest = versions(raw, now)
if standing == '0' then
  return {'absent', '', string.format('%.0f', now)}
end
if standing ~= expected then
  return {'conflict', raw, string.format('%.0f', now)}
end
local written = put(id, tonumber(newest), now, 0, '1', writer, '{}')
return {'ok', written, string.format('%.0f', now)}
"""
)

LOAD = (
    _COMMON
    + """
-- ARGV: id
-- Returns: 'ok' or 'absent', what stands, now.
local now = now_us()
local raw = redis.call('HGET', KEYS[1], ARGV[1])
local standing = versions(raw, now)
return {standing ~= '0' and 'ok' or 'absent', raw or '', string.format('%.0f', now)}
"""
)

CHANGES = (
    _COMMON
    + """
-- ARGV: prefix, since, limit, most entries looked at
-- Returns: now, newest change of the store, last change looked at, 1 where nothing is left,
--          then id and record of each.
local prefix, since, limit, scan = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local newest = redis.call('GET', KEYS[3]) or '0'
local entries = redis.call(
  'ZRANGEBYSCORE', KEYS[2], '(' .. since, '+inf', 'WITHSCORES', 'LIMIT', 0, scan)
local found = {string.format('%.0f', now_us()), newest, since, 1}
local count = 0
for i = 1, #entries, 2 do
  if count == limit then
    found[4] = 0
    return found
  end
  local id = entries[i]
  found[3] = entries[i + 1]
  if string.sub(id, 1, #prefix) == prefix then
    found[#found + 1] = id
    found[#found + 1] = redis.call('HGET', KEYS[1], id)
    count = count + 1
  end
end
if #entries == 2 * scan then
  found[4] = 0
end
return found
"""
)
