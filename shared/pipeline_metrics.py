"""The metrics of the parts that only the async twin has; in a module of their own, so that the naive
twin does not show them as zeros."""

from typing import Literal

from prometheus_client import Counter, Gauge

from shared.exposition import Histogram
from shared.metrics import BUCKETS

SIZES = tuple(4.0**power for power in range(9))

group_events = Histogram("group_events", "Events that shared one Redis round trip.", buckets=SIZES)
batch_events = Histogram("batch_events", "Events in a flushed batch.", buckets=SIZES)
batch_fingerprints = Histogram("batch_fingerprints", "Fingerprints in a flushed batch.", buckets=SIZES)
digest_events = Histogram("digest_events", "First events in one digest.", buckets=SIZES)

digest_duration = Histogram(
    "digest_duration_seconds", "One digest of first events, its pauses included.", buckets=BUCKETS
)
row_freshness = Histogram(
    "row_freshness_seconds", "From a first event's acknowledgement to its row in MySQL.", buckets=BUCKETS
)
flush_duration = Histogram("flush_duration_seconds", "One flush, all its batches.", buckets=BUCKETS)
events_flushed = Counter("events_flushed", "Events whose count is in MySQL.")
batches_replayed = Counter(
    "batches_replayed", "Batches found in the ledger, so dropped and not applied again."
)
set_aside = Counter("set_aside", "What could not be applied and was set aside, by its kind.", ("kind",))
for _kind in ("first_event", "count", "batch", "spooled"):
    set_aside.labels(_kind)  # of a counter that begins at 1 Prometheus sees no increase

redis_forgot = Counter("redis_forgot", "How often Redis came back without what it had, or some of it.")
events_direct = Counter("events_direct", "Events that were kept in MySQL before their answer.")
events_spooled = Counter("events_spooled", "Events that were kept in the spool.")
events_replayed = Counter("events_replayed", "Events that went on from the spool.")
state_changes = Counter("ingest_state_changes", "Changes of the ingest's state, by the new one.", ("state",))
ingest_state = Gauge(
    "ingest_state", "Processes of the API that are in this state.", ("state",), multiprocess_mode="livesum"
)
mode_changes = Counter(
    "throttle_mode_changes", "Changes of where services' rates are decided, by the new mode.", ("mode",)
)
throttle_mode = Gauge(
    "throttle_mode", "Processes of the API that are in this mode.", ("mode",), multiprocess_mode="livesum"
)
throttle_peers = Gauge(
    "throttle_peers", "Peers that were heard just now, and have heard us.", multiprocess_mode="livemax"
)
spool_bytes = Gauge("spool_bytes", "What waits in the spool.", multiprocess_mode="livemax")

# Set from Redis at each scrape, by the process that answers it.
NEWEST: Literal["livemostrecent"] = "livemostrecent"
buffer_fingerprints = Gauge(
    "buffer_fingerprints", "Fingerprints in the open buffer.", multiprocess_mode=NEWEST
)
buffer_batches = Gauge("buffer_batches", "Batches claimed and not yet in MySQL.", multiprocess_mode=NEWEST)
flush_age = Gauge("flush_age_seconds", "Since the last flush that went well.", multiprocess_mode=NEWEST)
queue_depth = Gauge("queue_depth", "First events that wait for their digest.", multiprocess_mode=NEWEST)
queue_age = Gauge(
    "queue_age_seconds", "Age of the oldest first event that waits for its digest.", multiprocess_mode=NEWEST
)
set_aside_entries = Gauge(
    "set_aside_entries", "What is set aside and still kept, 1,000 at most.", multiprocess_mode=NEWEST
)
flush_interval = Gauge(
    "flush_interval_seconds", "The setting: between two flushes.", multiprocess_mode=NEWEST
)
