"""Which twin is in trouble, in ten seconds."""

from grafana_foundation_sdk.builders import dashboard, heatmap, stat, timeseries

from grafana.board import board, choice
from grafana.limits import GENERATOR_CORES, P95_SECONDS
from grafana.panels import (
    OK,
    POST,
    Query,
    cells,
    dashed,
    graph,
    guide,
    on_the_right,
    quantile,
    verdict,
)

DURATION = "http_request_duration_seconds"
FAILED = f'{POST},status_code!~"2..|429"'
THROTTLED = f'{POST},status_code="429"'
GUIDE = """
| you see | look at | it is |
|---|---|---|
| p95 up, naive twin | *Naive*: waiting for the pool, then row locks | more requests than connections, or all on the same rows |
| p95 up, async twin, Redis time flat | *Machine*: CPU of `async_dedup` near 1 core | the event loop is full: one process, one core |
| p95 up, async twin, Redis time up as well | *Async*: Redis time and memory; *Machine*: disk | Redis, or the disk that it syncs to |
| p95 fine, queue or flush age up | *Async*: queue age, flush duration | MySQL behind it is slow, or worker or scheduler are gone |
| both twins up at once | *Machine*: stolen CPU, pressure; the generator on this page | the machine or the generator, not the twins |
| lost counts, naive twin | no other panel: no metric knows of them | two requests read the same number and wrote the same result, a flaw that is its subject |
| lost or extra counts, async twin | the trials in the run's report.html | a bug: its promise is broken |
| 500s | *Naive*: errors by cause; `IntegrityError` is two first events that raced | a flaw that is the naive twin's subject |
| 429s | `GET /api/v1/services` of the twin: who | one service sends more than it may; where the others are refused as well, its limit is theirs |
| folded events | the same | a service invents a new message for each event: an id, or a time, in its text |
| 503s | *Naive*: pool; *Async*: Redis memory, what is up | no connection in time; Redis away or full |
"""  # noqa: E501 - a table has long lines


def build() -> dashboard.Dashboard:
    new = board("twins", "Twins", "Which twin is in trouble, in ten seconds.")
    twins = choice(
        "twin", "Twin", "Whose lines are drawn.", f"label_values(http_requests_total{{{POST}}}, job)"
    )
    new = new.with_variable(twins).with_row(dashboard.Row("Verdict, over the range above"))
    for panel in (ratio(), failures(), *audits(), unfinished(), generator()):
        new = new.with_panel(panel)
    new = new.with_row(dashboard.Row("Rate, errors, duration"))
    for line in (rates(), errors(), p95(), over_users(), throttled(), folded()):
        new = new.with_panel(line)
    for job in ("naive_sync", "async_dedup"):
        new = new.with_panel(latencies(job))
    return new.with_panel(guide(GUIDE, 12))


def ratio() -> stat.Panel:
    naive, async_ = (
        quantile(0.95, DURATION, f'job="{job}",{OK}', window="$__range")
        for job in ("naive_sync", "async_dedup")
    )
    return verdict(
        "p95 ratio: own clocks, all levels",
        "How many times longer 95 of 100 answered requests took in the naive twin, over the whole range. Not "
        "the ratio of RESULTS.md, which is of one level and by the client's clock: here the many requests "
        "of few users count too, and the wait for a free thread does not. Near 1: no difference. Empty: "
        "one of the twins was not loaded in this range.",
        "none",
        Query(f"{naive} / {async_}", "times"),
    )


def failures() -> stat.Panel:
    return verdict(
        "Failed requests",
        "Events that a twin refused or failed on. Anything but 0 means that clients were told so: see the "
        "guide.",
        "short",
        Query(f"sum by (job) (increase(http_requests_total{{{FAILED}}}[$__range]))"),
        red_from=1,
    )


def audits() -> list[stat.Panel]:
    return [
        audited(
            "Lost counts",
            "lost",
            "Events that a twin acknowledged and MySQL lacks. The naive twin's are its subject; one of the "
            "async twin's is a bug.",
            red_from=1,
        ),
        audited("Extra counts", "extra", "Events that MySQL has beyond what was acknowledged.", red_from=1),
        audited(
            "Audited: acknowledged", "acknowledged", "Events that the clients of a twin were told are kept."
        ),
        audited(
            "Audited: recorded",
            "recorded",
            "Events in MySQL, also those whose client never learnt the outcome.",
        ),
    ]


def audited(title: str, found: str, description: str, red_from: float | None = None) -> stat.Panel:
    """Also of a run that has ended within the range: the exporter ends with it."""
    source = (
        "No twin knows: the audit at the end of each trial tells, and this is the sum over the newest run "
        "so far. Until a run has audited a twin, what the run before it found is shown, where it is in the "
        "range; else nothing."
    )
    expr = f'last_over_time(loadtest_audited_events{{found="{found}"}}[$__range])'
    return verdict(title, f"{description} {source}", "locale", Query(expr, "{{twin}}"), red_from=red_from)


def unfinished() -> stat.Panel:
    acknowledged = f'sum(http_requests_total{{job="async_dedup",{OK}}})'
    return verdict(
        "Acknowledged, count not in MySQL yet",
        "Of the async twin. Falls to 0 at each flush; growing from flush to flush, MySQL does not keep up.",
        "short",
        Query(f"clamp_min({acknowledged} - sum(events_flushed_total), 0)", "events"),
    )


def generator() -> stat.Panel:
    return verdict(
        "Is the generator the limit?",
        "The most that the load generator used of its core. From 90 % on it is itself what was measured, "
        "and the trial is invalid.",
        "percentunit",
        Query('max_over_time(process:cpu:cores{groupname="generator"}[$__range])', "of its core"),
        red_from=GENERATOR_CORES,
    )


def rates() -> timeseries.Panel:
    return graph(
        "Requests per second",
        "What each twin answered, what was due (open model only) and what the generator got. A twin below "
        "what is due does not keep up.",
        "reqps",
        Query(f'sum by (job) (rate(http_requests_total{{job=~"$twin",{POST}}}[$__rate_interval]))'),
        Query("loadtest_offered_rate > 0 or loadtest_achieved_rate * 0", "due"),
        Query("loadtest_achieved_rate", "client"),
    )


def errors() -> timeseries.Panel:
    return graph(
        "Failed requests per second",
        "By twin, and as the client counts them, time-outs included. Above 0 events are refused, or the "
        "twin has a bug: see the causes on its own page.",
        "reqps",
        Query(f'sum by (job) (rate(http_requests_total{{job=~"$twin",{FAILED}}}[$__rate_interval]))'),
        Query("rate(loadtest_failures_total[$__rate_interval])", "client"),
    )


def throttled() -> timeseries.Panel:
    return graph(
        "Throttled requests per second (429)",
        "Of services that send more than they may. Not failures: the event is not kept, and the client is "
        "told when to come again. Always 0 where no rate is set.",
        "reqps",
        Query(f'sum by (job) (rate(http_requests_total{{job=~"$twin",{THROTTLED}}}[$__rate_interval]))'),
    )


def folded() -> timeseries.Panel:
    return graph(
        "Folded events per second",
        "Kept and counted, but on the one overflow issue of their service: its budget of new issues is used "
        "up. Always 0 where no budget is set.",
        "short",
        Query('sum by (job) (rate(events_folded_total{job=~"$twin"}[$__rate_interval]))'),
    )


def p95() -> timeseries.Panel:
    return graph(
        "p95 by the server's clock, and the client's",
        "95 of 100 requests were answered within this time; one logarithmic axis for both twins. The "
        "target, the dashed line, is 50 ms. The client's is of the whole level so far; far above the "
        "server's, requests wait before the server sees them.",
        "s",
        Query(quantile(0.95, DURATION, f'job=~"$twin",{OK}', "job")),
        Query("loadtest_p95_seconds", "client"),
        log=True,
        limit=P95_SECONDS,
    )


def over_users() -> timeseries.Panel:
    panel = graph(
        "p95 and p99 over users",
        "How latency follows the number of users (grey, right axis); p99 is dashed. Steps that grow "
        "faster than the users do are the knee; a p99 far above p95 is a queue that fills and empties.",
        "s",
        Query(quantile(0.95, DURATION, f'job=~"$twin",{OK}', "job"), "{{job}} p95"),
        Query(quantile(0.99, DURATION, f'job=~"$twin",{OK}', "job"), "{{job}} p99"),
        Query("loadtest_users", "users"),
        log=True,
        limit=P95_SECONDS,
    )
    return on_the_right(dashed(panel, ".* p99"), "users", "short")


def latencies(job: str) -> heatmap.Panel:
    return cells(
        f"{job}: every latency",
        "How many requests took how long; the same axis for both twins. Two bands are two kinds of "
        "requests; a band that climbs is a queue.",
        f'sum by (le) (increase(http_request_duration_seconds_bucket{{job="{job}",{OK}}}[$__rate_interval]))',
    )
