# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a purge does inside a Redis server: keys need not travel, and nobody uses a session between look and removal."""

from __future__ import annotations

# Whether a session was last used longer ago than was asked for. ARGV: seconds (none: all are old enough), whether the
# server records how long a key has not been used (0, 1), and seconds that a session lives after it was written (none:
# nobody has said). Where both are known, the later use counts. The first is no word against the session beyond half of
# its range of 2^24 seconds: what was used before the server's clock was set back looks like that. A session without an
# end has none that its last write could be told from. With a session goes its lock, if that is on this node.
AGE = """
if redis.replicate_commands then redis.replicate_commands() end
local older, tracked, lifetime = tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[3])
local function is_old(name)
  local idle = tracked and redis.call('OBJECT', 'IDLETIME', name)
  local rest = lifetime and redis.call('PTTL', name)
  return (not tracked or idle and idle > older and idle < 8388608)
    and (not lifetime or rest >= 0 and lifetime * 1000 - rest > older * 1000)
end
local function unlock(name)
  local count = redis.pcall('UNLINK', name .. '_LOCK')
  return type(count) == 'number' and count or 0
end
"""

# One step in the server: pages of SCAN until the time is up (20 for a user who may not ask for it), of which the
# sessions (and their locks) are unlinked. Pages are small, for what SCAN has just touched is still in the processor's
# cache then; letters and digits, of which most ids are made, are matched quicker than a set.
# ARGV, behind those of AGE: cursor, glob, milliseconds, prefix, least and greatest length of an id, remove (0, 1), keys
# per UNLINK (1 in a cluster, where they belong to different slots), then the names to keep.
STEP = (
    AGE
    + """
local call, find, sub = redis.call, string.find, string.sub
local cursor, glob, start = ARGV[4], ARGV[5], #ARGV[7] + 1
local least, most = #ARGV[7] + ARGV[8], #ARGV[7] + ARGV[9]
local remove, batch = ARGV[10] == '1', tonumber(ARGV[11])
local kept = {}
for i = 12, #ARGV do kept[ARGV[i]] = true end
local gone, unlocked, ignored, young, spared, pages = 0, 0, 0, 0, {}, 0
local function now()
  local time = redis.pcall('TIME')
  return time[1] and time[1] * 1000 + time[2] / 1000
end
local begin = now()
local function is_over()
  pages = pages + 1
  if begin then return now() - begin >= tonumber(ARGV[6]) else return pages == 20 end
end
local function is_session(name)
  local length = #name
  return length >= least and length <= most
    and (find(name, '^%w+$', start) or find(name, '^[%w,-]+$', start))
end
local function unlink(names, number)
  if not remove then return number end
  local count = 0
  for i = 1, number, batch do
    count = count + call('UNLINK', unpack(names, i, math.min(i + batch - 1, number)))
  end
  return count
end
repeat
  local page = call('SCAN', cursor, 'MATCH', glob, 'COUNT', 100, 'TYPE', 'string')
  cursor = page[1]
  local names, locks, doomed = page[2], {}, 0
  for i = 1, #names do
    local name = names[i]
    if is_session(name) then
      if kept[name] then
        spared[#spared + 1] = name
      elseif older and not is_old(name) then
        young = young + 1
      else
        doomed = doomed + 1
        names[doomed] = name
        if older and remove then unlocked = unlocked + unlock(name) end
      end
    else
      local owner = sub(name, -5) == '_LOCK' and sub(name, 1, -6)
      if not owner or not is_session(owner) then
        ignored = ignored + 1
      elseif not older and not kept[owner] then
        locks[#locks + 1] = name
      end
    end
  end
  gone, unlocked = gone + unlink(names, doomed), unlocked + unlink(locks, #locks)
until cursor == '0' or is_over()
return {cursor, gone, unlocked, ignored, young, spared}
"""
)

# Of sessions that were found from outside, those that are old enough. ARGV, behind those of AGE: remove (0, 1), names.
OLD = (
    AGE
    + """
local gone, unlocked = 0, 0
for i = 5, #ARGV do
  if is_old(ARGV[i]) then
    gone = gone + (ARGV[4] == '1' and redis.call('UNLINK', ARGV[i]) or 1)
    if ARGV[4] == '1' then unlocked = unlocked + unlock(ARGV[i]) end
  end
end
return {gone, unlocked}
"""
)
