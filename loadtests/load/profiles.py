"""The load profiles by name: how many users or which rate, for how long."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from loadtests.load.workload import MEAN_THINK_SECONDS


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
    def spans(self) -> list[tuple[float, float]]:
        """From when to when each level is measured, in seconds after the start."""
        end, spans = self.warm_up_seconds, []
        for level in self.levels:
            begin, end = end, end + level.seconds
            spans.append((begin + level.start_up_seconds, end))
        return spans

    def users_at(self, seconds: float) -> int:
        """How many users there are to be; past the end those of the last level."""
        index = self.level_at(seconds)
        return self.levels[-1 if index is None else max(index, 0)].users

    @property
    def most_users(self) -> int:
        return max(level.users for level in self.levels)

    def until_change(self, seconds: float, horizon: float) -> float:
        """How long it is to the next level; 0 where that is longer than `horizon`."""
        starts = (
            begin - level.start_up_seconds for level, (begin, _) in zip(self.levels, self.spans, strict=True)
        )
        return next((start - seconds for start in starts if 0 < start - seconds < horizon), 0.0)

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
PROFILES = {profile.name: profile for profile in (RAMP, SPIKE, SOAK, SMOKE, SATURATED, MINUTE, CROWD, FEW)}
"""What can be sent as it stands."""
BENCHED = {profile.name: profile for profile in (*PROFILES.values(), KNEE) if profile.pairs}
"""What the bench makes trials of."""
OF_KNEE = " % of the knee"
"""The end of the name of a level that is at a share of its twin's own knee."""
OPEN = "open"
"""The name of every profile of `at_rate`."""
FEWEST_CONNECTIONS, MOST_CONNECTIONS = 10, 500
SLOWEST_SECONDS = 0.5
"""How long a mean answer may take before the connections, and not the twin, are the limit."""


def at_rate(rate: float, seconds: float) -> Profile:
    """Return the open model: `rate` requests per second, whether or not the earlier ones are answered."""
    connections = min(max(ceil(rate * SLOWEST_SECONDS), FEWEST_CONNECTIONS), MOST_CONNECTIONS)
    level = PlannedLevel(f"{rate:.0f}/s", connections, seconds, 0, rate)
    return Profile(OPEN, (level,), warm_up_seconds=2)


def planned(name: str, level_seconds: Sequence[float], rate: float) -> Profile:
    """Return the profile that the options of a command line mean; without seconds, with the profile's own.

    Raises ValueError where they mean none.
    """
    if name == OPEN and rate > 0:
        return at_rate(rate, *(level_seconds or [10]))
    if name not in PROFILES or rate:
        raise ValueError(
            f"no such profile: {name!r} at rate {rate:g}; {OPEN!r} needs a rate, others have none"
        )
    return PROFILES[name].with_level_seconds(level_seconds)
