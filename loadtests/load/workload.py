"""What the users send: seeded events, and how long each user thinks between two of them."""

import json
from collections.abc import Iterator
from functools import cache
from itertools import count
from random import Random
from typing import NamedTuple

from shared.fingerprint import DEFAULT_SERVICE

REPEATED_SHARE = 0.7
POOL_SIZE = 100
MEAN_THINK_SECONDS = 0.1
REPEATED = "repeated query "
"""The message of a repeated event of a mix begins so, and ends with a number."""

MODULES = ("orders", "billing", "search", "profile", "catalogue")
PROBLEMS = (
    "timed out",
    "returned no row",
    "violated a constraint",
    "lost its connection",
    "ran out of memory",
)
CALLS = ("validate", "authorize", "loadCart", "priceItems", "reserveStock", "charge", "persist", "respond")


class Mix(NamedTuple):
    """What the events are like, where they are not like those of every other test."""

    fingerprints: int
    """Of the pool that the repeated events come from."""
    message_chars: int = 0
    """Longer messages have their own length."""
    trace_bytes: int = 1_024


class Event(NamedTuple):
    """One error report: its message, and the JSON body that carries it, ready to send."""

    message: str
    body: bytes
    service: str = DEFAULT_SERVICE


def events(
    seed: int, user: int | str, mix: Mix | None = None, service: str = DEFAULT_SERVICE
) -> Iterator[Event]:
    """Yield one user's events without end; the same seed and user give the same events in the same order.

    Seven in ten come from a pool that all users of the service share, the others are never seen twice.
    A mix is of the default service.
    """
    return _plain_events(seed, user, service) if mix is None else _mixed_events(seed, user, mix)


def _plain_events(seed: int, user: int | str, service: str) -> Iterator[Event]:
    random, repeated = stream(seed, user), pool(seed, service)
    trace = _stack_trace(random)
    for number in count():
        if random.random() < REPEATED_SHARE:
            yield repeated[int(random.random() * POOL_SIZE)]
        else:
            yield _event(_unique(seed, user, number), trace, service)


def new_events(seed: int, user: int | str) -> Iterator[Event]:
    """Yield one user's events without end, of which none is ever seen twice."""
    trace = _stack_trace(stream(seed, user))
    return (_event(_unique(seed, user, number), trace) for number in count())


def _unique(seed: int, user: int | str, number: int) -> str:
    return f"order {seed}-{user}-{number} could not be charged: the gateway timed out"


def _mixed_events(seed: int, user: int | str, mix: Mix) -> Iterator[Event]:
    """The pool may be too large to be built: all events of a user have one stack trace."""
    random = stream(seed, user)
    lines = json.loads(_stack_trace(random))
    trace = json.dumps((lines * (mix.trace_bytes // len(lines) + 1))[: mix.trace_bytes]).encode()
    for number in count():
        if random.random() < REPEATED_SHARE:
            message = repeated_message(int(random.random() * mix.fingerprints), mix)
        else:
            message = f"order {seed}-{user}-{number} could not be charged".ljust(mix.message_chars, ".")
        yield _event(message, trace)


def repeated_message(number: int, mix: Mix) -> str:
    """Return the message of one of the repeated events of a mix."""
    return f"{REPEATED}{number}".ljust(mix.message_chars, ".")


def think_times(seed: int, user: int | str, mean: float = MEAN_THINK_SECONDS) -> Iterator[float]:
    """Yield one user's think times in seconds, exponential, from a stream apart from that of its events."""
    random = stream(seed, user, "think")
    while True:
        yield mean * random.expovariate(1)


def arrivals(seed: int, user: int | str, rate: float) -> Iterator[float]:
    """Yield when requests are due, in seconds after the start: a Poisson process of `rate` per second."""
    random, due = stream(seed, user, "arrivals"), 0.0
    while True:
        due += random.expovariate(rate)
        yield due


@cache
def pool(seed: int, service: str = DEFAULT_SERVICE) -> tuple[Event, ...]:
    """Return the repeated events of a seed, built once: building bodies must not be what is measured.

    Those of one service have the messages of every other one.
    """
    random = stream(seed, "pool")
    return tuple(
        _event(
            f"{random.choice(MODULES)} query {number} {random.choice(PROBLEMS)}",
            _stack_trace(random),
            service,
        )
        for number in range(POOL_SIZE)
    )


def stream(*name: int | str) -> Random:
    """Return the random numbers of that name: always the same ones, and unlike those of any other name."""
    return Random("/".join(map(str, name)))  # noqa: S311 - repeatable is what they have to be


def _event(message: str, trace: bytes, service: str = DEFAULT_SERVICE) -> Event:
    """Joined by hand, ten times cheaper than json.dumps: no message here holds a character to be escaped."""
    own = b"" if service == DEFAULT_SERVICE else b',"service":"%b"' % service.encode()
    return Event(message, b'{"message":"%b","stackTrace":%b%b}' % (message.encode(), trace, own), service)


def _stack_trace(random: Random) -> bytes:
    """Return a JSON string of 0.5 to 1 kB."""
    lines = ["Error: the operation was not completed"]
    for _ in range(random.randint(9, 14)):
        module, line = random.choice(MODULES), random.randint(10, 900)
        lines.append(f"    at {random.choice(CALLS)} (/srv/shop/{module}/{module}.service.js:{line}:17)")
    return json.dumps("\n".join(lines)).encode()
