-- What of some fingerprints is in the buffer, and in each batch. In one step: a claim between two would hide a count, or show it twice.
--
-- KEYS: buffer, batches
-- ARGV: start of a batch's key, most batches, then fingerprints
-- Returns pairs, for the buffer ('') and each batch (its id) that has any of them: the id, and the events of each
-- fingerprint; what is no number, which the flush will set aside, counts as none.
-- Nothing where there are more batches: Redis would stand still for all of them.

if redis.call('LLEN', KEYS[2]) > tonumber(ARGV[2]) then
    return false
end
local found = {}
local function look_into(key, id)
    local events, has_any = {}, false
    for i, counted in ipairs(redis.call('HMGET', key, unpack(ARGV, 3))) do
        events[i] = tonumber(counted or 0) or 0
        has_any = has_any or events[i] > 0
    end
    if has_any then
        found[#found + 1] = {id, events}
    end
end
look_into(KEYS[1], '')
for _, id in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
    look_into(ARGV[1] .. id, id)
end
return found
