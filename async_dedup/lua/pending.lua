-- Sums what MySQL has not seen yet. In one step: a claim between two would hide a count, or show it twice.
--
-- KEYS: buffer, batches
-- ARGV: start of a batch's key, most batches, then fingerprints
-- Returns the events of each fingerprint; what is no number, which the flush will set aside, counts as none.
-- Nothing where there are more batches: Redis would stand still for all of them.

if redis.call('LLEN', KEYS[2]) > tonumber(ARGV[2]) then
    return false
end
local events = {}
for i, counted in ipairs(redis.call('HMGET', KEYS[1], unpack(ARGV, 3))) do
    events[i] = tonumber(counted or 0) or 0
end
for _, id in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
    for i, claimed in ipairs(redis.call('HMGET', ARGV[1] .. id, unpack(ARGV, 3))) do
        events[i] = events[i] + (tonumber(claimed or 0) or 0)
    end
end
return events
