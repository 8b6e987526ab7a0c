"""The load profiles by name: how many users or which rate, for how long."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from loadtests.load.workload import MEAN_THINK_SECONDS
from shared.fingerprint import DEFAULT_SERVICE


@dataclass(frozen=True)
class PlannedLevel:
    """A number of users, or a rate that up to so many users send at. Times in seconds."""

    name: str
    users: int
    seconds: float
    start_up_seconds: float
    """How much of the beginning is left out: the new users' first requests and connections."""
    rate: float | None = None
    """Requests per second. None: the model is closed, each user waits for an answer, thinks, and goes on."""
    rates: tuple[tuple[str, float], ...] = ()
    """Where not only the default service sends: what each service has of `rate`."""
    rush: int = 0
    """Open model: users who each send one event as soon as the level begins, over a connection of their own.
    `users` of them are connected at a time, the others wait for their turn."""

    @property
    def is_open(self) -> bool:
        return bool(self.rate or self.rush)

    def rate_of(self, service: str) -> float:
        return dict(self.rates or ((DEFAULT_SERVICE, self.rate or 0.0),))[service]


@dataclass(frozen=True)
class Profile:
    """Levels, one after the other."""

    name: str
    levels: tuple[PlannedLevel, ...]
    warm_up_seconds: float = 3.0
    """What goes before, with the first level's users: reconciled, but in no level."""
    think_seconds: float = MEAN_THINK_SECONDS
    """On average, of the closed model; 0: the next event at once, so that the users are a saturation."""
    about: str = ""
    """What the reports say of it."""
    pairs: int = 0
    """How many trials of each twin the bench makes, unless it is told; 0: none of the bench's profiles."""

    @property
    def seconds(self) -> float:
        """The whole profile, without what the last requests take to be answered."""
        return self.warm_up_seconds + sum(level.seconds for level in self.levels)

    def level_at(self, seconds: float) -> int | None:
        """Index of the level that runs `seconds` after the start; -1 in the warm-up, None past the end."""
        end = self.warm_up_seconds
        for index, level in enumerate(self.levels, -1):
            if seconds < end:
                return index
            end += level.seconds
        return len(self.levels) - 1 if seconds < end else None

    def words_at(self, seconds: float) -> str:
        """Tell somebody who watches what runs."""
        index = self.level_at(seconds)
        if index is None:
            return "waiting for the last answers"
        return "warm-up" if index < 0 else f"level {index + 1} of {len(self.levels)}"

    @property
    def is_open(self) -> bool:
        return any(level.is_open for level in self.levels)

    @property
    def is_rush(self) -> bool:
        return any(level.rush for level in self.levels)

    @property
    def services(self) -> tuple[str, ...]:
        """Whose events are sent."""
        return tuple(service for service, _ in self.levels[0].rates) or (DEFAULT_SERVICE,)

    @property
    def places(self) -> list[str]:
        """Return the services of the first users, in turn: those of one are spread evenly over the list."""
        highest = {service: max(level.rate_of(service) for level in self.levels) for service in self.services}
        places = [
            ((place + 0.5) / connections(rate), service)
            for service, rate in highest.items()
            for place in range(connections(rate))
        ]
        return [service for _, service in sorted(places)]

    @property
    def phases(self) -> list[tuple[PlannedLevel, float, float]]:
        """Return each level with its begin and end, in seconds after the start; the warm-up is in none."""
        end, phases = self.warm_up_seconds, []
        for level in self.levels:
            begin, end = end, end + level.seconds
            phases.append((level, begin, end))
        return phases

    @property
    def spans(self) -> list[tuple[float, float]]:
        """From when to when each level is measured, in seconds after the start."""
        return [(begin + level.start_up_seconds, end) for level, begin, end in self.phases]

    def users_at(self, seconds: float) -> int:
        """How many users there are to be; past the end those of the last level."""
        return self._planned_at(seconds).users

    def rate_at(self, seconds: float) -> float | None:
        """How many requests are due in a second; None in the closed model."""
        return self._planned_at(seconds).rate

    def _planned_at(self, seconds: float) -> PlannedLevel:
        index = self.level_at(seconds)
        return self.levels[-1 if index is None else max(index, 0)]

    @property
    def most_users(self) -> int:
        return max(level.users for level in self.levels)

    def until_change(self, seconds: float, horizon: float) -> float:
        """How long it is to the next level; 0 where that is longer than `horizon`."""
        return next((begin - seconds for _, begin, _ in self.phases if 0 < begin - seconds < horizon), 0.0)

    def with_level_seconds(self, seconds: Sequence[float]) -> "Profile":
        """Return the same profile with its levels so long, one for each or one for all; unchanged with none.

        Raises ValueError where there are too few or too many, or nothing would be left to measure.
        """
        if not seconds:
            return self
        each = [*seconds] * len(self.levels) if len(seconds) == 1 else seconds
        if len(each) != len(self.levels):
            raise ValueError(f"{self.name} has {len(self.levels)} levels, and {len(each)} lengths are given")
        pairs = list(zip(self.levels, each, strict=True))
        for level, length in pairs:
            if length <= level.start_up_seconds:
                left_out = level.start_up_seconds
                raise ValueError(
                    f"{length:g} s is too short: the first {left_out:g} s of a level are left out"
                )
        return replace(self, levels=tuple(replace(level, seconds=length) for level, length in pairs))


def _users(*sizes: int, seconds: float, start_up_seconds: float = 1.5) -> tuple[PlannedLevel, ...]:
    return tuple(PlannedLevel(f"{size} users", size, seconds, start_up_seconds) for size in sizes)


def _services(name: str, seconds: float, noisy: float) -> PlannedLevel:
    """Return a level of three services, two of which send at their usual rate."""
    rates = ((NOISY_ONE, noisy), *((service, USUAL_RATE) for service in OTHERS))
    users = connections(NOISY_RATE) + len(OTHERS) * connections(USUAL_RATE)
    return PlannedLevel(name, users, seconds, 0, sum(rate for _, rate in rates), rates)


FEWEST_CONNECTIONS, MOST_CONNECTIONS = 10, 500
SLOWEST_SECONDS = 0.5
"""How long a mean answer may take before the connections, and not the twin, are the limit."""


def connections(rate: float) -> int:
    """Return how many there are at most for so many requests a second."""
    return min(max(ceil(rate * SLOWEST_SECONDS), FEWEST_CONNECTIONS), MOST_CONNECTIONS)


RAMP = Profile(
    "ramp",
    # 10 users send too little for a percentile in the seconds that are enough for the others.
    (*_users(10, seconds=10.5), *_users(50, 100, 200, 500, seconds=6)),
    about="More and more users; a closed model.",
    pairs=3,
)
SPIKE = Profile(
    "spike",
    (
        PlannedLevel("10 users before", 10, 6, 1.5),
        PlannedLevel("1000 users", 1000, 10, 0),  # the beginning is what a spike is about
        PlannedLevel("10 users after", 10, 15, 0),
    ),
    about="A few users, suddenly a hundred times as many, then the few again; a closed model.",
    pairs=3,
)
SOAK = Profile(
    "soak",
    _users(100, seconds=30 * 60),
    about="The same users for a long time; a closed model.",
    pairs=1,
)
SMOKE = Profile(
    "smoke",
    _users(5, 20, seconds=2, start_up_seconds=0.5),
    warm_up_seconds=1,
    about="Seconds only, to see that everything works: its figures mean nothing.",
    pairs=1,
)
KNEE = Profile(
    "knee",
    (),  # drawn up by the search, rate by rate
    about="Requests come at a fixed rate, whether or not the ones before were answered; an open model.",
    pairs=3,
)
SATURATED = Profile(
    "saturated", _users(50, seconds=6, start_up_seconds=0.5), warm_up_seconds=2, think_seconds=0
)
MINUTE = replace(SATURATED, name="minute", levels=_users(50, seconds=60, start_up_seconds=0.5))
CROWD = Profile("crowd", _users(200, 500, seconds=5))
FEW = Profile("few", _users(10, seconds=20))
NOISY_ONE, OTHERS = "noisy", ("billing", "search")
USUAL_RATE, NOISY_RATE = 20.0, 400.0
"""Events a second of a service: a half of what the study lets it send, and ten times that."""
NOISY = Profile(
    "noisy",
    (
        _services("before", 40, USUAL_RATE),
        _services("noisy", 40, NOISY_RATE),
        _services("after", 20, USUAL_RATE),
    ),
    about="Three services at equal, modest rates, one of them for a while at ten times its limit; an open\n"
    "model, and connections of its own for each service.",
)
PROFILES = {
    profile.name: profile for profile in (RAMP, SPIKE, SOAK, SMOKE, SATURATED, MINUTE, CROWD, FEW, NOISY)
}
"""What can be sent as it stands."""
BENCHED = {profile.name: profile for profile in (*PROFILES.values(), KNEE) if profile.pairs}
"""What the bench makes trials of."""
OF_KNEE = " % of the knee"
"""The end of the name of a level that is at a share of its twin's own knee."""
OPEN = "open"
"""The name of every profile of `at_rate`."""
RUSH = "rush"
"""The name of every profile of `all_at_once`."""
CONNECTED = 2_000
"""Users of a rush who are connected at a time: as many as a process of the naive twin lets in, and within the
descriptors that a process has everywhere."""


def at_rate(rate: float, seconds: float) -> Profile:
    """Return the open model: `rate` requests per second, whether or not the earlier ones are answered."""
    level = PlannedLevel(f"{rate:.0f}/s", connections(rate), seconds, 0, rate)
    return Profile(OPEN, (level,), warm_up_seconds=2)


def all_at_once(users: int) -> Profile:
    """Return so many users who send one event each, all new ones, at the same moment."""
    level = PlannedLevel(f"{users} users", min(users, CONNECTED), 1, 0, rush=users)
    return Profile(
        RUSH,
        (level,),
        warm_up_seconds=2,  # nobody sends anything in it: it is until all who may connect are there
        about="Every user sends one event at the same moment, over a connection of its own. All events are\n"
        f"new, and of one service. {CONNECTED:,} users are connected at a time, others wait for their turn.",
    )


def planned(name: str, level_seconds: Sequence[float], rate: float, rush: int = 0) -> Profile:
    """Return the profile that the options of a command line mean; without seconds, with the profile's own.

    Raises ValueError where they mean none.
    """
    if name == OPEN and rate > 0 and not rush:
        return at_rate(rate, *(level_seconds or [10]))
    if name == RUSH and rush > 0 and not rate:
        return all_at_once(rush)
    if name not in PROFILES or rate or rush:
        raise ValueError(
            f"no such profile: {name!r} at rate {rate:g} with {rush} users at once; "
            f"{OPEN!r} needs a rate, {RUSH!r} the users, others have none"
        )
    return PROFILES[name].with_level_seconds(level_seconds)
