"""The load profiles by name: how many users, for how long."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Profile:
    """A closed model: each user waits for an answer, thinks, and sends the next event. Times in seconds."""

    users: tuple[int, ...]
    """Users of each level, in order."""
    level_seconds: float
    start_up_seconds: float
    """How much of each level's beginning is left out: the new users' first requests and connections."""
    warm_up_seconds: float = 3.0
    """What goes before, with the first level's users: reconciled, but in no level."""

    @property
    def seconds(self) -> float:
        """The whole profile, without what the last requests take to be answered."""
        return self.warm_up_seconds + len(self.users) * self.level_seconds

    def level_at(self, seconds: float) -> int | None:
        """Index of the level that runs `seconds` after the start; -1 in the warm-up, None past the end."""
        if seconds < self.warm_up_seconds:
            return -1
        index = int((seconds - self.warm_up_seconds) / self.level_seconds)
        return index if index < len(self.users) else None

    def with_level_seconds(self, level_seconds: float | None) -> "Profile":
        return replace(self, level_seconds=level_seconds) if level_seconds else self


PROFILES = {
    "ramp": Profile(users=(10, 50, 100, 200, 500), level_seconds=6, start_up_seconds=1.5),
    "smoke": Profile(users=(5, 20), level_seconds=2, start_up_seconds=0.5, warm_up_seconds=1),
}
