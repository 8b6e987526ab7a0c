"""The load profiles by name: how many users or which rate, for how long."""

from dataclasses import dataclass, replace


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

    def with_level_seconds(self, seconds: float | None) -> "Profile":
        """Return the same profile with every level so long; unchanged without `seconds`."""
        if not seconds:
            return self
        return replace(self, levels=tuple(replace(level, seconds=seconds) for level in self.levels))


def _users(*sizes: int, seconds: float, start_up_seconds: float = 1.5) -> tuple[PlannedLevel, ...]:
    return tuple(PlannedLevel(f"{size} users", size, seconds, start_up_seconds) for size in sizes)


RAMP = Profile(
    "ramp",
    # 10 users send too little for a percentile in the seconds that are enough for the others.
    (*_users(10, seconds=10.5), *_users(50, 100, 200, 500, seconds=6)),
)
SPIKE = Profile(
    "spike",
    (
        PlannedLevel("10 users before", 10, 6, 1.5),
        PlannedLevel("1000 users", 1000, 10, 0),  # the beginning is what a spike is about
        PlannedLevel("10 users after", 10, 15, 0),
    ),
)
SOAK = Profile("soak", _users(100, seconds=30 * 60))
SMOKE = Profile("smoke", _users(5, 20, seconds=2, start_up_seconds=0.5), warm_up_seconds=1)
PROFILES = {profile.name: profile for profile in (RAMP, SPIKE, SOAK, SMOKE)}
