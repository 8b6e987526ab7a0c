-- Counts a group of events, once.
--
-- A retried group must not count twice, so the group's number is checked and set with its counts.
-- A process leaves the payload out where it has sent it before, which holds only as long as Redis remembers
-- the process. HINCRBY's answer equals the increment only for a fingerprint that is new in this buffer: of
-- any other a process has sent the payload already.
--
-- KEYS: buffer, batches, sealed batch, first_events, group
-- ARGV: group number, batch id, most fingerprints, then (fingerprint, events, payload)...
-- Returns the number of first events, -1 for a group that was added before, -2 for a forgotten process.

local last = tonumber(redis.call('GET', KEYS[5]) or 0)
if last >= tonumber(ARGV[1]) then
    return -1
elseif last == 0 and ARGV[1] ~= '1' then
    return -2
end
redis.call('SET', KEYS[5], ARGV[1], 'EX', 3600)
local first = 0
for i = 4, #ARGV, 3 do
    local events = redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
    if ARGV[i + 2] ~= '' and events == tonumber(ARGV[i + 1]) then
        redis.call('XADD', KEYS[4], '*', 'fingerprint', ARGV[i], 'event', ARGV[i + 2])
        first = first + 1
    end
end
local now = redis.call('TIME')
redis.call('HSET', KEYS[1], 'at', now[1] .. string.format('%06d', now[2]))
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[3]) then
    redis.call('RENAME', KEYS[1], KEYS[3])
    redis.call('RPUSH', KEYS[2], ARGV[2])
end
return first
