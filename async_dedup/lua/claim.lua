-- Makes a batch of the buffer. RENAME fails on a missing key, so an empty buffer is left alone.
--
-- KEYS: buffer, batches, sealed batch
-- ARGV: batch id
-- Returns 1 where there was something to claim, else 0.

if redis.call('EXISTS', KEYS[1]) == 0 then
    return 0
end
redis.call('RENAME', KEYS[1], KEYS[3])
redis.call('RPUSH', KEYS[2], ARGV[1])
return 1
