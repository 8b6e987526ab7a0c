"""What Redis keeps for the async twin: every key, and what each script that touches them promises.

| key               | type   | holds                              | bound               | lives until       |
|-------------------|--------|------------------------------------|---------------------|-------------------|
| hpt:buffer        | hash   | events by fingerprint, `at`: last  | MAX_FINGERPRINTS    | claimed           |
| hpt:batches       | list   | ids of batches, oldest first       | one per batch       | each is dropped   |
| hpt:batch:ID      | hash   | a claimed buffer, or a part of it  | MAX_FINGERPRINTS    | in MySQL, dropped |
| hpt:first_events  | stream | first events, first stack traces   | maxmemory           | in MySQL, trimmed |
| hpt:group:PROCESS | string | number and id of its last group    | one each            | an hour unused    |
| hpt:flushed_at    | string | last flush, Unix seconds           | 1                   | overwritten       |
| hpt:set_aside     | stream | what could not be applied, and why | MAX_SET_ASIDE       | newer ones came   |
| hpt:arrivals      | zset   | services by theoretical arrival    | MAX_SERVICES, named | idle, and others  |
| hpt:services      | hash   | their events, throttled, folded    | three for each      | with the one above|
| hpt:new_issues:S  | zset   | fingerprints that S made, by when  | its budget          | window and 1 min  |
| hpt:nodes         | zset   | API processes by when they lived   | one for each        | 10 s              |
| hpt:wanted        | set    | rows that lack their message       | MAX_FINGERPRINTS    | told, or a minute |
| rq:*              | RQ's   | digest jobs                        | one waiting at most | failed: 5 minutes |

Services are those with a limit or a budget only. Times in the three zsets are Unix microseconds.
Counts have no expiry, and `maxmemory-policy noeviction` makes a full Redis refuse new events, which
then go elsewhere, rather than evict counted ones. Fingerprints are 32 raw bytes here, half of their hex form.

| script          | called by                  | promises                                            |
|-----------------|----------------------------|-----------------------------------------------------|
| `add.lua`       | `group_buffer.py`, the API | a group counts once, however often it is sent       |
| `claim.lua`     | `buffer.py`, the flush     | no event is in buffer and batch at once, or in none |
| `pending.lua`   | `buffer.py`, the list      | what buffer and batches hold at one moment          |
| `set_aside.lua` | `set_aside.py`, both ways  | what can't be applied is removed and noted, once    |
| `take.lua`      | `buffer.py`, the digest    | as `claim.lua`, for what becomes rows next          |
| `verdict.lua`   | in front of `add.lua`      | no service gets more than it may, a retry no other  |
"""

from pathlib import Path

BUFFER = "hpt:buffer"
BATCHES = "hpt:batches"
BATCH = "hpt:batch:"
FIRST_EVENTS = "hpt:first_events"
GROUP = "hpt:group:"
FLUSHED_AT = "hpt:flushed_at"
SET_ASIDE = "hpt:set_aside"
WANTED = "hpt:wanted"
ARRIVALS = "hpt:arrivals"
SERVICES = "hpt:services"
NEW_ISSUES = "hpt:new_issues:"
NODES = "hpt:nodes"

AT = "at"
"""The field that says when a first event came, or the last one of a buffer or batch: Unix microseconds, by
Redis's clock. In those two all other fields are fingerprints."""

MAX_FINGERPRINTS = 10_000
"""A buffer that reaches this is sealed as a batch at once: one HGETALL and one transaction stay small."""

LAST_ID = "18446744073709551615-18446744073709551615"
"""Of a stream: behind it nothing can be added."""

MAX_TAKEN = 8
"""Batches in which flushes are behind: a digest has one in its hands, and a killed one has left one."""

MAX_TAKEN_BYTES = 4 * 2**20
"""Of first events, after which a digest has enough: 500 of the largest are 125 MiB, too much at once."""

MAX_SUMMED = 200
"""Batches that are looked through for what is pending, the scheduler's, the digest's and some full ones: for
a page of 100 issues Redis stands still for 9 ms. 1,000 take it 44."""

NODE_SECONDS = 10
"""After which a process of the API that has not said otherwise is none."""

WANTED_SECONDS = 60
"""The scheduler renews what it wants; should it be gone, nobody waits for the answer."""

MAX_SET_ASIDE = 1_000
"""With 4 KiB of each, some 4 MB: enough to see what came, and how often."""


def _script(name: str) -> str:
    return (Path(__file__).parent / "lua" / f"{name}.lua").read_text()


ADD = _script("add")
ADD_LIMITED = _script("verdict") + ADD
"""For groups in which a service has a quota."""
CLAIM = _script("claim")
TAKE = _script("take")
PENDING = _script("pending")
MOVE_ASIDE = _script("set_aside")
