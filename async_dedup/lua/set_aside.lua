-- Takes what can't be applied out of the way and notes it, once: who comes second finds it gone.
--
-- It is removed first: once a script has written, Redis lets it go on even when it is full.
--
-- KEYS: where it stands, set_aside
-- ARGV: most entries, kind, reason, content, then the command that removes it and its arguments after the key
-- Returns 1 where it was there, else 0.

if redis.call(ARGV[5], KEYS[1], unpack(ARGV, 6)) == 0 then
    return 0
end
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[1], '*', 'kind', ARGV[2], 'reason', ARGV[3], 'content', ARGV[4])
return 1
