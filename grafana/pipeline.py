"""The async twin: what a client does not see."""

from grafana_foundation_sdk.builders import dashboard

from grafana.board import board
from grafana.limits import FLUSH_INTERVALS, ROW_SECONDS
from grafana.panels import OK, Query, graph, guide, mean, quantile

OWN = 'job="async_dedup"'
"""Worker and scheduler have the same gauges, and never set them."""
FLUSHES = "15s"
"""Some flushes of the default interval of 5 s: over less there may be none."""
GUIDE = """
An event goes from **Redis** (the client's answer waits for it) through **the queue** (first events, to the
worker) and **the buffer** (counts, to the scheduler) into MySQL. p95 up: Redis time, or the group size is
at its limit of 1,000. p95 fine, but rows late: the queue's age, then the digest. Counts late: the flush's
age, then its duration. Redis memory that does not come down after a flush: batches that are not applied. A
replay is no fault: a flush was cut off, and its batch recognised.
"""
PANELS = (
    graph(
        "Events that share one Redis call",
        "Group commit: mean and p95 of a group. 1 at low load. It grows with the load, which is what "
        "keeps the rate up; at 1,000 it has reached its limit.",
        "short",
        Query(mean("group_events", OWN), "mean"),
        Query(quantile(0.95, "group_events", OWN), "p95"),
    ),
    graph(
        "Redis time",
        "One call for one group, until it is on disk. The client waits for this twice at most. Up while "
        "the groups stay small: Redis or its disk is slow.",
        "s",
        Query(quantile(0.5, "redis_operation_duration_seconds", OWN), "p50"),
        Query(quantile(0.95, "redis_operation_duration_seconds", OWN), "p95"),
    ),
    graph(
        "First events that wait for their row",
        "Depth of the queue. A saw-tooth is normal; a line that rises is a worker that does not keep up "
        "or is gone.",
        "short",
        Query(f"queue_depth{{{OWN}}}", "waiting"),
    ),
    graph(
        "Age of the oldest of them",
        "The promise is a row within 1 s. Above, the worker is late.",
        "s",
        Query(f"queue_age_seconds{{{OWN}}}", "oldest"),
        limit=ROW_SECONDS,
    ),
    graph(
        "Event to row",
        "Freshness: from the acknowledgement to the row in MySQL, measured by the worker, over 15 s. The "
        "promise is a p95 of 1 s.",
        "s",
        Query(quantile(0.5, "row_freshness_seconds", 'job="worker"', window=FLUSHES), "p50"),
        Query(quantile(0.95, "row_freshness_seconds", 'job="worker"', window=FLUSHES), "p95"),
        limit=ROW_SECONDS,
    ),
    graph(
        "Age of the last flush",
        f"Climbs to the flush interval and falls to 0. Above {FLUSH_INTERVALS} intervals the twin is "
        "not ready.",
        "s",
        Query(f"flush_age_seconds{{{OWN}}}", "age"),
        Query(f"{FLUSH_INTERVALS} * flush_interval_seconds{{{OWN}}}", f"{FLUSH_INTERVALS} intervals"),
    ),
    graph(
        "Digest and flush: duration",
        "Mean of one digest, its pauses included, and of one flush, over 15 s. A flush that takes as long as "
        "its interval is the limit of the whole twin.",
        "s",
        Query(mean("digest_duration_seconds", 'job="worker"', FLUSHES), "digest"),
        Query(mean("flush_duration_seconds", 'job="scheduler"', FLUSHES), "flush"),
    ),
    graph(
        "Batches: size",
        "Mean over 15 s: events and fingerprints in a flush, first events in a digest. Events far above "
        "fingerprints is what deduplication saves.",
        "short",
        Query(mean("batch_events", 'job="scheduler"', FLUSHES), "events in a flush"),
        Query(mean("batch_fingerprints", 'job="scheduler"', FLUSHES), "fingerprints in a flush"),
        Query(mean("digest_events", 'job="worker"', FLUSHES), "first events in a digest"),
    ),
    graph(
        "Acknowledged and flushed, per second",
        "What clients were promised, and what is in MySQL, over 15 s. They differ by what is in the "
        "buffer; should they drift apart, it grows.",
        "short",
        Query(f'sum(rate(http_requests_total{{job="async_dedup",{OK}}}[{FLUSHES}]))', "acknowledged"),
        Query(f"sum(rate(events_flushed_total[{FLUSHES}]))", "flushed"),
    ),
    graph(
        "Buffer, and batches that are claimed",
        "Fingerprints that wait for the next flush, and batches on their way. More than one batch for "
        "longer than a flush: an earlier one was cut off and is finished first.",
        "short",
        Query(f"buffer_fingerprints{{{OWN}}}", "fingerprints"),
        Query(f"buffer_batches{{{OWN}}}", "batches"),
    ),
    graph(
        "Batches replayed",
        "Found in the ledger and not counted again: a flush had been cut off between MySQL's commit and "
        "Redis. Above 0 is the promise being kept.",
        "short",
        Query('batches_replayed_total{job="scheduler"}', "replayed"),
    ),
    graph(
        "Where events are kept before their answer",
        "Processes of the API by state: redis as a rule; direct, in MySQL, while Redis can't be had; spool, "
        "in a file, while neither can. The reason is in /api/v1/health.",
        "short",
        Query(f"ingest_state{{{OWN}}}", "{{state}}"),
    ),
    graph(
        "Where rates are decided",
        "Processes of the API by mode: redis as a rule; without Redis peer, where each counts what all let "
        "through, or local, where each has its share. Empty where no limit is set.",
        "short",
        Query(f"throttle_mode{{{OWN}}}", "{{mode}}"),
        Query(f"throttle_peers{{{OWN}}}", "peers heard"),
    ),
    graph(
        "The spool",
        "What waits in files of the API. It is replayed once a store is back, and falls to 0. Beyond its "
        "bound (256 MiB) events are refused (503).",
        "bytes",
        Query(f"spool_bytes{{{OWN}}}", "waiting"),
    ),
    graph(
        "Redis memory",
        "Used, and the limit. A full Redis never drops an event: new ones go to MySQL. Alert at 80 %.",
        "bytes",
        Query("redis_memory_used_bytes", "used"),
        Query("redis_memory_max_bytes", "limit"),
    ),
    graph(
        "What is up",
        "1: answers its scrape. 0: gone, or too busy to answer within a second.",
        "short",
        Query('up{job=~"async_dedup|worker|scheduler"}'),
        Query("redis_up", "redis"),
    ),
)


def build() -> dashboard.Dashboard:
    new = board("async", "Async: what you don't see", "What happens to an event after its answer.")
    for panel in PANELS:
        new = new.with_panel(panel)
    return new.with_panel(guide(GUIDE))
