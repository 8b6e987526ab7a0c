-- Counts a group of events, once.
--
-- Redis remembers the last group of each process, by number and id. The same once more is a retry, and counts
-- nothing. So does a number that is not above the last one: a try that comes late, or a second process that
-- was made with the memory of the first. Where Redis should know the process and does not, it has forgotten
-- whether this group was counted.
--
-- KEYS: buffer, batches, sealed batch, first_events, group
-- ARGV: 1 where Redis should know the process else 0, group number, group id, most fingerprints,
--       then (fingerprint, events, payload or nothing)...
-- Returns the number of payloads, -1 for a group that was added before, -2 where Redis can't tell.

local this = ARGV[2] .. ' ' .. ARGV[3]
local last = redis.call('GET', KEYS[5])
if last == this then
    return -1
elseif last and tonumber(string.match(last, '%d+')) >= tonumber(ARGV[2]) then
    return -2
elseif not last and ARGV[1] == '1' then
    return -2
end
redis.call('SET', KEYS[5], this, 'EX', 3600)
local payloads = 0
for i = 5, #ARGV, 3 do
    redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
    if ARGV[i + 2] ~= '' then
        redis.call('XADD', KEYS[4], '*', 'fingerprint', ARGV[i], 'event', ARGV[i + 2])
        payloads = payloads + 1
    end
end
local now = redis.call('TIME')
redis.call('HSET', KEYS[1], 'at', now[1] .. string.format('%06d', now[2]))
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[4]) then
    redis.call('RENAME', KEYS[1], KEYS[3])
    redis.call('RPUSH', KEYS[2], ARGV[3])
end
return payloads
