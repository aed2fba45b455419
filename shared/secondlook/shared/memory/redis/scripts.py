"""The Lua scripts of the Redis store: each write is one of them, so each is one atomic step.

Every key of a namespace shares one hash tag: in a Cluster they live in one slot, which one order of
changes needs. A site is the first segment of an id; the rest of the id is what its keys hold, so
that the site's name is not stored once more with each record.

=====================  ========  ==================================================================
``{ns}:records:SITE``  hash      rest of the id -> the record as text (`.text`)
``{ns}:order:SITE``    zset      rest of the id -> newest change; each record once
``{ns}:sites``         zset      site -> its newest change
``{ns}:sequence``      number    the newest change
``{ns}:graves``        zset      id -> when it died or will expire, microseconds since the epoch
``{ns}:floors``        zset      site -> the newest change whose deletion was forgotten
``{ns}:server``        text      which server process wrote last
=====================  ========  ==================================================================

Times are of the clock of Redis: one clock for all writers. Every key a script touches is declared.
No command is newer than Redis 6.2.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from secondlook.shared.memory.rules import MAX_REPLICAS

SAVE, DELETE = "s", "d"
FIELDS = 9
"""Arguments of one write: place of its records key, site, rest of the id, `SAVE` or `DELETE`,
expected version, writer, time to live (microseconds; 0: for ever), origin, and the data."""


@dataclass(frozen=True)
class Script:
    """A script, and the digest by which Redis knows it once it has seen the text."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        # Redis names scripts by SHA-1; nothing secret is in it.
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)


_NOW = """
local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
"""

_PARTS = """
-- version, change, updated, expires, deleted, origins; nothing where the text is damaged
local function parts(raw)
  return string.match(raw, '^(%d+) (%d+) (%d+) (%d+) ([01])\\n([^\\n]*)\\n')
end
"""

WRITE = Script(
    f"local FIELDS, MAX_REPLICAS = {FIELDS}, {MAX_REPLICAS}\n"
    + _NOW
    + _PARTS
    + """
-- KEYS: sequence, sites, graves, then records and order of each site
-- ARGV: see FIELDS, once for each write
-- Returns: for each write 'ok', 'repeat', 'expired' (a repeat; what stood has expired), 'conflict',
--          'absent' or 'damaged', and what stands; of 'ok' only the first line, to spare bytes.
local now = now_us()

-- The origins with the replica's last token replaced; the newest is last, at most MAX_REPLICAS.
local function remembered(origins, origin)
  local replica = string.match(origin, '^[^=]+=')
  local kept = {}
  for pair in string.gmatch(origins, '[^ ]+') do
    if string.sub(pair, 1, #replica) ~= replica then
      kept[#kept + 1] = pair
    end
  end
  kept[#kept + 1] = origin
  return table.concat(kept, ' ', math.max(1, #kept - MAX_REPLICAS + 1))
end

-- Whether the token has a place among those of its replica: it has exactly 20 digits.
local function ordered(origin)
  return #(string.match(origin, '=(%d+)$') or '') == 20
end

-- Whether a creation comes again, behind later writes of its replica, or after it was refused.
local function late(origins, origin)
  local replica, token = string.match(origin, '^([^=]+=)(.*)$')
  local padded = ' ' .. origins .. ' '
  local _, last = string.find(padded, ' ' .. replica, 1, true)
  if not last then
    return false
  end
  local known = string.match(padded, '^(%d+)!? ', last + 1)
  return known and #known == 20 and token <= known
end

local function write(at)
  local place, site, rest = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2]
  local verb, expected, writer = ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
  local ttl, origin, data = ARGV[at + 6], ARGV[at + 7], ARGV[at + 8]
  local records, order = KEYS[place], KEYS[place + 1]
  local raw = redis.call('HGET', records, rest)
  local newest, expires, deleted, origins, _ = '0', '0', '1', ''
  if raw then
    newest, _, _, expires, deleted, origins = parts(raw)
    if not newest then
      return 'damaged', raw
    end
  end
  local expired = expires ~= '0' and tonumber(expires) <= now
  if origin ~= '' and string.find(' ' .. origins .. ' ', ' ' .. origin .. ' ', 1, true) then
    -- Written once more, unchanged: WAIT then covers what the first attempt wrote.
    redis.call('HSET', records, rest, raw)
    return expired and 'expired' or 'repeat', raw
  end
  local dead = deleted == '1' or expired
  if dead and verb == 'd' then
    return 'absent', ''
  end
  local creates = verb == 's' and expected == '0' and ordered(origin)
  if creates and late(origins, origin) then
    return 'conflict', dead and '' or raw
  end
  if (dead and '0' or newest) ~= expected then
    if creates then
      local head, tail = string.match(raw, '^([^\\n]*\\n)[^\\n]*(.*)$')
      redis.call('HSET', records, rest, head .. remembered(origins, origin .. '!') .. tail)
    end
    return 'conflict', dead and '' or raw
  end
  local mortal = deleted == '1' or expires ~= '0'
  local gone = verb == 'd' and '1' or '0'
  local ends = ttl == '0' and 0 or now + tonumber(ttl)
  if origin ~= '' then
    origins = remembered(origins, origin)
  end
  local change = string.format('%.0f', redis.call('INCR', KEYS[1]))
  local head = string.format('%.0f %s %.0f %.0f %s', newest + 1, change, now, ends, gone)
  redis.call('ZADD', order, change, rest)
  redis.call('ZADD', KEYS[2], change, site)
  local id = rest == '' and site or site .. '/' .. rest
  if gone == '1' or ends > 0 then
    redis.call('ZADD', KEYS[3], string.format('%.0f', gone == '1' and now or ends), id)
  elseif mortal then
    redis.call('ZREM', KEYS[3], id)
  end
  -- Last: where a key of ours is something else, the script ends above and nothing is written.
  redis.call('HSET', records, rest, table.concat({head, origins, writer, data}, '\\n'))
  return 'ok', head
end

local answer = {}
for at = 1, #ARGV, FIELDS do
  answer[#answer + 1], answer[#answer + 2] = write(at)
end
return answer
"""
)

PAGE = Script(
    _NOW
    + """
-- KEYS: sequence, floors, records and order of the site
-- ARGV: site, prefix of the rest, since, 1 where a since below the floor is too old,
--       limit, most entries looked at, most bytes
-- Returns: 'old' and the floor; or 'page', now, newest change of the store, last change looked at,
--          1 where nothing is left, then rest and text of each record.
local site, prefix, since, asked = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local limit, scan, room = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local floor = asked == '1' and redis.call('ZSCORE', KEYS[2], site)
if floor and tonumber(floor) > tonumber(since) then
  return {'old', floor}
end
local entries = redis.call(
  'ZRANGEBYSCORE', KEYS[4], '(' .. since, '+inf', 'WITHSCORES', 'LIMIT', 0, scan)
local newest = redis.call('GET', KEYS[1]) or '0'
local page = {'page', string.format('%.0f', now_us()), newest, since, '1'}
local count = 0
for at = 1, #entries, 2 do
  if count == limit or room <= 0 then
    page[5] = '0'
    return page
  end
  local rest = entries[at]
  if string.sub(rest, 1, #prefix) == prefix then
    local raw = redis.call('HGET', KEYS[3], rest)
    if raw then
      page[#page + 1] = rest
      page[#page + 1] = raw
      count = count + 1
      room = room - #raw
    end
  end
  page[4] = entries[at + 1]
end
if #entries == 2 * scan then
  page[5] = '0'
end
return page
"""
)

FORGET = Script(
    _NOW
    + _PARTS
    + """
-- KEYS: sites, graves, floors, records and order of the site
-- ARGV: site, how long the dead are kept in microseconds, rest of each id
-- Returns: how many were forgotten.
local site, now = ARGV[1], now_us()
local before = now - tonumber(ARGV[2])
local count, floor = 0, tonumber(redis.call('ZSCORE', KEYS[3], site) or '0')
for at = 3, #ARGV do
  local rest = ARGV[at]
  local id = rest == '' and site or site .. '/' .. rest
  local raw = redis.call('HGET', KEYS[4], rest)
  local version, change, updated, expires, deleted
  if raw then
    version, change, updated, expires, deleted = parts(raw)
  end
  local died = deleted == '1' and tonumber(updated) or tonumber(expires or '0')
  if version and died > 0 and died <= before then
    redis.call('HDEL', KEYS[4], rest)
    redis.call('ZREM', KEYS[5], rest)
    floor = math.max(floor, tonumber(change))
    count = count + 1
  end
  if version and died > before then
    redis.call('ZADD', KEYS[2], string.format('%.0f', died), id)
  else
    redis.call('ZREM', KEYS[2], id)
  end
end
if count > 0 then
  redis.call('ZADD', KEYS[3], string.format('%.0f', floor), site)
end
if redis.call('EXISTS', KEYS[5]) == 0 then
  redis.call('ZREM', KEYS[1], site)
end
return count
"""
)

HELLO = Script(
    """
-- KEYS: sequence, server
-- ARGV: how far the sequence jumps
-- First on each connection. A server that was not the last to write may have missed the newest
-- writes (a failover, a cut of power). Its changes go on far above theirs: no cursor skips any.
local info = redis.pcall('INFO', 'server')
local server = type(info) == 'string' and string.match(info, 'run_id:(%x+)')
local last = redis.call('GET', KEYS[2])
if server and server ~= last then
  if last then
    redis.call('INCRBY', KEYS[1], ARGV[1])
  end
  redis.call('SET', KEYS[2], server)
end
return 'hello'
"""
)
