-- Counts a group of events, once.
--
-- Redis remembers the last group of each process, by number and id. The same once more is a retry, and counts
-- nothing: it gets the verdict of the first try. So does a number that is not above the last one: a try that
-- comes late, or a second process that was made with the memory of the first. Where Redis should know the
-- process and does not, it has forgotten whether this group was counted.
--
-- KEYS: buffer, batches, sealed batch, first_events, group; more where services have quotas: see verdict.lua
-- ARGV: 1 where Redis should know the process else 0, group number, group id, most fingerprints,
--       number of services with a quota and the others, 0 without any; then what verdict.lua says; then
--       (fingerprint, events, payload or nothing)...
-- Returns the number of payloads, -1 for a group that was added before, -2 where Redis can't tell; with services
-- the first two together with the verdict.

local this = ARGV[2] .. ' ' .. ARGV[3]
local last = redis.call('GET', KEYS[5])
local many = tonumber(ARGV[5])
if last and string.sub(last, 1, #this) == this then
    return many > 0 and {-1, string.sub(last, #this + 2)} or -1
elseif last and tonumber(string.match(last, '%d+')) >= tonumber(ARGV[2]) then
    return -2
elseif not last and ARGV[1] == '1' then
    return -2
end

local time = redis.call('TIME')
local now = time[1] .. string.format('%06d', time[2])
local first, verdict, counts, owners = 6, nil, nil, {}
if many > 0 then
    first = 1 + BEHIND + FIELDS * many
    verdict, counts, owners = decide(tonumber(now), first)
end
redis.call('SET', KEYS[5], verdict and this .. ' ' .. verdict or this, 'EX', 3600)

local payloads = 0
-- With its time: an id never goes back, be it behind a clock that was set forward or behind a foreign one.
local function bring(fingerprint, payload, owner)
    payloads = payloads + 1
    if owner then
        redis.call('XADD', KEYS[4], '*', 'fingerprint', fingerprint, 'event', payload, 'at', now, 'owner', owner)
    else
        redis.call('XADD', KEYS[4], '*', 'fingerprint', fingerprint, 'event', payload, 'at', now)
    end
end

for i = first, #ARGV, 3 do
    local which = (i - first) / 3 + 1
    local events = counts and (counts[which] or 0) or ARGV[i + 1]
    if events ~= 0 then
        redis.call('HINCRBY', KEYS[1], ARGV[i], events)
        if ARGV[i + 2] ~= '' then
            bring(ARGV[i], ARGV[i + 2], owners[which])
        end
    end
end
if verdict then
    settle(tonumber(now), bring)
end
redis.call('HSET', KEYS[1], 'at', now)
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[4]) then
    redis.call('RENAME', KEYS[1], KEYS[3])
    redis.call('RPUSH', KEYS[2], ARGV[3])
end
return verdict and {payloads, verdict} or payloads
