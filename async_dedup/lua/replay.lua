-- Takes a spooled group in, once: as a batch under its own id, and its payloads as first events.
--
-- A batch of that id that was applied and dropped before is taken in again, and MySQL's ledger knows it.
--
-- KEYS: batches, batch, first_events
-- ARGV: batch id, time of the group in Unix microseconds, then (fingerprint, events, payload)...
-- Returns 1 where the batch is new here.

local is_new = redis.call('EXISTS', KEYS[2]) == 0
if is_new then
    for i = 3, #ARGV, 3 do
        redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
    end
    redis.call('HSET', KEYS[2], 'at', ARGV[2])
    redis.call('RPUSH', KEYS[1], ARGV[1])
end
for i = 3, #ARGV, 3 do
    redis.call('XADD', KEYS[3], '*', 'fingerprint', ARGV[i], 'event', ARGV[i + 2])
end
return is_new and 1 or 0
