-- Takes what becomes rows next: the oldest first events, and what was counted of their fingerprints.
--
-- The counts move into a batch of their own, which the digest writes together with the rows. Should it be
-- killed, that batch is a batch like any other: the next flush finishes it. The events stay until they are
-- trimmed. Where flushes are behind, no count moves: each batch more would be one more to catch up with.
--
-- KEYS: first_events, buffer, batches, sealed batch
-- ARGV: batch id, most events, most batches, bytes after which events are enough
-- Returns the events, as XRANGE does; the batch, as HGETALL does, empty where no count has moved; and 1 where more
-- events may wait, else 0.

local most, enough, AT_ONCE = tonumber(ARGV[2]), tonumber(ARGV[4]), 20
local events, bytes, last = {}, 0, '0-0'
repeat -- a few at a time: each may have a quarter of a MiB
    local read = redis.call('XREAD', 'COUNT', math.min(AT_ONCE, most - #events), 'STREAMS', KEYS[1], last)
    local some = read and read[1][2] or {}
    for _, event in ipairs(some) do
        events[#events + 1], last = event, event[1]
        for value = 2, #event[2], 2 do
            bytes = bytes + #event[2][value]
        end
    end
until #some < AT_ONCE or #events >= most or bytes >= enough
local more = (#events >= most or bytes >= enough) and 1 or 0

if redis.call('LLEN', KEYS[3]) >= tonumber(ARGV[3]) then
    return {events, {}, more}
end
local fingerprints = {}
for _, event in ipairs(events) do
    local field, fingerprint = event[2][1], event[2][2]
    if field == 'fingerprint' and #fingerprint == 32 then
        fingerprints[#fingerprints + 1] = fingerprint
    end
end
if #fingerprints == 0 then
    return {events, {}, more}
end
local batch, is_in = {}, {}
for i, counted in ipairs(redis.call('HMGET', KEYS[2], unpack(fingerprints))) do
    local fingerprint = fingerprints[i]
    if counted and not is_in[fingerprint] then
        is_in[fingerprint] = true
        batch[#batch + 1] = fingerprint
        batch[#batch + 1] = counted
    end
end
if #batch > 0 then
    -- First of all: once a script has written, Redis lets it go on even when it is full.
    redis.call('HDEL', KEYS[2], unpack(fingerprints))
    batch[#batch + 1] = 'at'
    batch[#batch + 1] = redis.call('HGET', KEYS[2], 'at') or ''
    redis.call('HSET', KEYS[4], unpack(batch))
    redis.call('RPUSH', KEYS[3], ARGV[1])
end
return {events, batch, more}
