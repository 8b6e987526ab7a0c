-- What the services of a group may have: decided event by event, in order, at one moment.
--
-- The rate is GCRA: of each service one number, its theoretical arrival time, up to which its events are spread
-- out at its rate. An event passes while that is no more than the burst ahead, and moves it on by an interval.
-- The budget is the log of a sliding window: the fingerprints that a service has made issues of, and when.
-- A service that is not known yet, has no quota of its own, and comes when there are too many, is one of the
-- others: they share the last of the list.
--
-- KEYS: 6 arrivals, 7 services, then where any service has a budget the window of each
-- ARGV: 5 number of services, 6 events in order: two bytes with the number of its fingerprint each, from 1 on,
--       7 fingerprints: two bytes with the number of its service each, 0 for one without a quota; nothing where
--       all are of the first,
--       8 fingerprints: `n` for each that may be new, `x` where MySQL has no place for it, `.` for others, nothing
--       where none may be; 9 packed: most services, window, memory, then
--       (service, packed: interval, tolerance, most ahead, budget, 1 where it may be one of the others; used before)...,
--       then where there are windows (overflow's fingerprint, its payload or nothing, places taken before:
--       32 bytes of fingerprint and 16 digits of time each)... All times are microseconds. Words that are
--       always the same are packed: to read each by itself was a fifth of what all this costs.

local OF_RATE, OF_BUDGET, BEHIND, PLACE = 3, KEYS[8] and 3 or 0, 9, 48
local FIELDS = OF_RATE + OF_BUDGET
local most_services, window, memory
local newcomers = 0
local services = {}

-- Forgets some who have been idle for long, the longest first; whether there were any.
local function forget_idle(now)
    local before = string.format('%d', now - memory)
    local idle = redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', before, 'LIMIT', 0, 100)
    for _, name in ipairs(idle) do
        redis.call('ZREM', KEYS[6], name)
        redis.call('HDEL', KEYS[7], 'e' .. name, 't' .. name, 'f' .. name)
    end
    return #idle > 0
end

local function service_of(number, now)
    if services[number] then
        return services[number]
    end
    local at = BEHIND + OF_RATE * (number - 1)
    local name = ARGV[at + 1]
    local interval, tolerance, most_ahead, budget, may_be_other = struct.unpack('>ddddB', ARGV[at + 2])
    local arrival = redis.call('ZSCORE', KEYS[6], name)
    if not arrival and may_be_other == 1 then
        if redis.call('ZCARD', KEYS[6]) + newcomers >= most_services and not forget_idle(now) then
            services[number] = service_of(tonumber(ARGV[5]), now)
            return services[number]
        end
        newcomers = newcomers + 1
    end
    local service = {
        name = name, window = KEYS[7 + number], interval = interval, tolerance = tolerance, budget = budget,
        ahead = math.min(
            math.max(tonumber(arrival or 0) - now, tonumber(ARGV[at + 3])), most_ahead
        ),
        asked = 0, passed = 0, throttled = 0, folded = 0,
    }
    if OF_BUDGET > 0 then
        at = BEHIND + OF_RATE * ARGV[5] + OF_BUDGET * (number - 1)
        service.overflow, service.payload = ARGV[at + 1], ARGV[at + 2]
        for i = 1, #ARGV[at + 3], PLACE do
            local place = string.sub(ARGV[at + 3], i, i + PLACE - 1)
            redis.call('ZADD', service.window, 'NX', string.sub(place, 33), string.sub(place, 1, 32))
        end
        if ARGV[at + 3] ~= '' then
            redis.call('PEXPIRE', service.window, string.format('%d', memory / 1000))
        end
    end
    services[number] = service
    return service
end

-- Whether there may be an issue of it: it has a place in the budget, or gets one; and whether that is new.
local function find_place(service, fingerprint, letter, now)
    if redis.call('ZSCORE', service.window, fingerprint) then
        return true, false
    elseif letter == 'x' then
        return false, false
    end
    local from = string.format('(%d', now - window)
    if redis.call('ZCOUNT', service.window, from, '+inf') >= service.budget then
        return false, false
    end
    redis.call('ZADD', service.window, string.format('%d', now), fingerprint)
    redis.call('ZREMRANGEBYSCORE', service.window, '-inf', string.format('%d', now - memory))
    redis.call('PEXPIRE', service.window, string.format('%d', memory / 1000))
    return true, true
end

local function number_at(text, which)
    local high, low = string.byte(text, 2 * which - 1, 2 * which)
    return 256 * high + low
end

-- Returns how far ahead each service is, with a space before each, and `-` for one that was not looked at.
local function aheads()
    local told = ''
    for number = 1, tonumber(ARGV[5]) do
        told = told .. (services[number] and string.format(' %d', services[number].ahead) or ' -')
    end
    return told
end

local function let_all_pass()
    for _, service in pairs(services) do
        service.ahead = service.ahead + service.asked * service.interval
        service.passed, service.asked = service.passed + service.asked, 0
    end
    return aheads()
end

-- Returns the verdict: for each event `.` where it counts, `t` throttled, `f` folded, `o` folded with the
-- others', or nothing where all count; and how far ahead each service is then. Besides, how many events of each
-- fingerprint count, or nil; and for each that has a new place whose it is.
local function decide(now, first)
    local owner, has_place, whose, fits, all_kept = {}, {}, {}, true, true
    most_services, window, memory = struct.unpack('>ddd', ARGV[9])
    if ARGV[7] == '' then
        service_of(1, now).asked = #ARGV[6] / 2
    end
    for which = 1, #ARGV[7] / 2 do
        local number = number_at(ARGV[7], which)
        if number > 0 then
            owner[which] = service_of(number, now)
            owner[which].asked = owner[which].asked + ARGV[first + 3 * which - 2]
        end
    end
    for _, service in pairs(services) do
        fits = fits and service.ahead + (service.asked - 1) * service.interval <= service.tolerance
    end
    if fits and ARGV[8] == '' then
        return let_all_pass(), nil, whose
    end
    if ARGV[7] == '' then
        setmetatable(owner, {__index = function() return services[1] end})
    end

    local function may_be(which)
        local service = owner[which]
        if has_place[which] == nil and service and service.budget > 0 then
            local letter, is_new = string.sub(ARGV[8], which, which), false
            if letter == 'n' or letter == 'x' then
                has_place[which], is_new = find_place(service, ARGV[first + 3 * (which - 1)], letter, now)
                whose[which] = is_new and service.name or nil
            end
        end
        return has_place[which] ~= false
    end

    local which = fits and string.find(ARGV[8], '[nx]')
    while which do
        all_kept = may_be(which) and all_kept
        which = string.find(ARGV[8], '[nx]', which + 1)
    end

    if fits and all_kept then
        return let_all_pass(), nil, whose
    end
    local fates, counts = {}, {}
    for event = 1, #ARGV[6] / 2 do
        local which, fate = number_at(ARGV[6], event), '.'
        local service = owner[which]
        if service and service.interval > 0 and service.ahead > service.tolerance then
            service.throttled, fate = service.throttled + 1, 't'
        elseif service then
            service.ahead, service.passed = service.ahead + service.interval, service.passed + 1
            if not may_be(which) then
                service.folded = service.folded + 1
                fate = service.window == KEYS[#KEYS] and 'o' or 'f'
            end
        end
        if fate == '.' then
            counts[which] = (counts[which] or 0) + 1
        end
        fates[event] = fate
    end
    return table.concat(fates) .. aheads(), counts, whose
end

-- Keeps what was decided, and counts what was folded where it belongs.
local function settle(now, bring)
    local is_kept = {}
    for _, service in pairs(services) do
        if not is_kept[service] then
            is_kept[service] = true
            redis.call('ZADD', KEYS[6], string.format('%.17g', now + service.ahead), service.name)
            if service.passed > 0 then
                redis.call('HINCRBY', KEYS[7], 'e' .. service.name, service.passed)
            end
            if service.throttled > 0 then
                redis.call('HINCRBY', KEYS[7], 't' .. service.name, service.throttled)
            end
            if service.folded > 0 then
                redis.call('HINCRBY', KEYS[7], 'f' .. service.name, service.folded)
                redis.call('HINCRBY', KEYS[1], service.overflow, service.folded)
                if service.payload ~= '' then
                    bring(service.overflow, service.payload)
                end
            end
        end
    end
end
