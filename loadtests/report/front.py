"""The parts of the README that are made of results: the result, what it means, and what breaks first."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from loadtests.analysis.overload import MOST_P95_MS
from loadtests.analysis.results import Comparison, Results, Trial
from loadtests.analysis.summary import (
    LevelId,
    knee,
    level_ids,
    level_percentile,
    over_levels,
    over_trials,
    profiles,
)
from loadtests.load.subjects import ASYNC, NAIVE, SUBJECTS, TWINS
from loadtests.report.breaks import Offered, what_breaks
from loadtests.report.marks import between
from loadtests.report.numbers import milliseconds
from loadtests.report.picture import about
from loadtests.report.rungs import best_of, faster, gains, heaviest
from loadtests.report.verdict import sentences, spread


def with_figures(readme: str, results: Results, ladder: Results | None, rising: Sequence[Offered]) -> str:
    """Return the README with what stands between its marks made anew. Raises ValueError without a mark."""
    blocks = {
        "result": _result(results),
        "meaning": "\n".join(f"- {each}" for each in _meaning(results, ladder)),
        "breaks": what_breaks(results, rising),
    }
    for name, text in blocks.items():
        readme = between(readme, name, text)
    return readme


def _result(results: Results) -> str:
    return f"""**{sentences(results)[0]}**

![{about(results)}](docs/images/p95.svg)

p95: 95 of 100 requests were at least as fast. Floor: the same load on a handler that does nothing.
Run `{results["run"]}` on {results["environment"]["cores"]} cores;
all its figures, and what was left out and why: [RESULTS.md](RESULTS.md)."""


def _meaning(results: Results, ladder: Results | None) -> Iterator[str]:
    if ladder:
        yield f"**What bought it.** {_bought(ladder)}"
    yield f"**When the naive twin is enough.** {_enough(results)}"
    yield f"**What speaks against the async twin.** {' '.join(_against(results))}"
    if others := sentences(results)[1:]:
        yield f"**What else was found.** {' '.join(others)}"


def _bought(ladder: Results) -> str:
    gained, level = gains(ladder), heaviest(ladder)
    run = (
        f"All steps: [docs/ladder.md](docs/ladder.md), run `{ladder['run']}`; its times compare among "
        "themselves, since a machine is not as fast every day."
    )
    if not gained:
        return f"Not every step between the twins has a valid p95. {run}"
    best, most = best_of(gained)
    share = "One decision bought most of it" if most else "The largest step is one decision"
    reached, async_ = (level_percentile(ladder, each, level, "p95") or 0.0 for each in (best, ASYNC))
    return (
        f"{share}: {SUBJECTS[best].about.rstrip('.')}. With this step, `{best}`, p95 at {level.name} is "
        f"{milliseconds(reached)} ms: {faster(gained[best])} than the step before. "
        f"{_redis(best, reached, async_)} {run}"
    )


TOLD_APART = 1.25
"""Less between two rungs is the machine's mood."""


def _redis(best: str, reached: float, async_: float) -> str:
    if SUBJECTS[best].behind:
        return ""
    is_faster = async_ < reached / TOLD_APART
    speed, and_ = ("some speed", "and") if is_faster else ("no speed", "but")
    return (
        f"It needs no Redis. Redis adds {speed} at this load ({milliseconds(async_)} ms), {and_} "
        "independence: events are still taken while MySQL is slow or down."
    )


def _enough(results: Results) -> str:
    found = [each for each in (_users(results), _knee(results)) if each]
    limits = f"Its p95 is below {MOST_P95_MS:.0f} ms up to {' and up to '.join(found)}. " if found else ""
    counts = [trial["reconcile"] for trial in results["trials"] if trial["twin"] == NAIVE]
    lost, acknowledged = (sum(count[key] for count in counts) for key in ("lost", "acknowledged"))
    share = f": it lost {lost / acknowledged:.1%} of them" if lost else ""
    return f"{limits}But its counts may be wrong{share}."


def _users(results: Results) -> str:
    """The heaviest level of the first profile whose p95 is below the limit, and that of all levels before."""
    best = ""
    for level in level_ids(results, profiles(results)[0]):
        p95 = level_percentile(results, NAIVE, level, "p95")
        rate = over_levels(results, NAIVE, level, lambda one: one["achieved_rps"])
        if p95 is None or rate is None or p95 >= MOST_P95_MS:
            break
        best = f"{level.name} ({milliseconds(p95)} ms, {rate:,.0f} requests/s)"
    return best


def _knee(results: Results) -> str:
    rate = knee(results, NAIVE)
    return f"{rate:,.0f} requests/s at a fixed rate" if rate else ""


def _against(results: Results) -> Iterable[str]:
    yield from (_slower(results, each) for each in results["comparison"] if _is_slower(each))
    row, count = (over_trials(results, ASYNC, each, profiles(results)[0]) for each in (_fresh, _counted))
    if row and count:
        yield (
            "MySQL lags behind the answers: in 95 of 100 cases a new issue's row is there within "
            f"{row / 1000:.1f} s, a count within {count / 1000:.1f} s."
        )
    naive, async_ = (over_trials(results, twin, _memory(twin), profiles(results)[0]) for twin in TWINS)
    if naive and async_:
        more = len(SUBJECTS[ASYNC].behind)
        yield (
            f"It has {more} more processes and a Redis: {async_:,.0f} MB of memory instead of {naive:,.0f}, "
            "MySQL's not counted."
        )


def _is_slower(found: Comparison) -> bool:
    ratio = found["p95_ratio"]
    return tuple(found["twins"]) == TWINS and ratio is not None and ratio["median"] < 1


def _slower(results: Results, found: Comparison) -> str:
    level = LevelId(found["profile"], found["level"])
    naive, async_ = (milliseconds(level_percentile(results, twin, level, "p95") or 0.0) for twin in TWINS)
    assert found["p95_ratio"]
    return (
        f"In `{level.profile}`, level `{level.name}`, its p95 is {async_} ms, the naive twin's {naive} ms "
        f"(naive over async {spread(found['p95_ratio'])})."
    )


def _fresh(trial: Trial) -> float | None:
    return trial["freshness_ms"].get("p95")


def _counted(trial: Trial) -> float | None:
    return trial["counted_ms"].get("p95")


def _memory(twin: str) -> Callable[[Trial], float]:
    # The naive twin's trials have a Redis beside them, which it does not use.
    own = {"app", *SUBJECTS[twin].behind, *(["redis"] if SUBJECTS[twin].behind else [])}
    return lambda trial: sum(size for name, size in trial["memory_mb"].items() if name in own)
