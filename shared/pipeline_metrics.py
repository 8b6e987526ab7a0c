"""The metrics of the parts that only the async twin has; in a module of their own, so that the naive
twin does not show them as zeros."""

from prometheus_client import Counter, Gauge

from shared.metrics import BUCKETS, Histogram

SIZES = tuple(4.0**power for power in range(9))

group_events = Histogram("group_events", "Events that shared one Redis round trip.", buckets=SIZES)
batch_events = Histogram("batch_events", "Events in a flushed batch.", buckets=SIZES)
batch_fingerprints = Histogram("batch_fingerprints", "Fingerprints in a flushed batch.", buckets=SIZES)
digest_events = Histogram("digest_events", "First events in one upsert.", buckets=SIZES)

flush_duration = Histogram("flush_duration_seconds", "One flush, all its batches.", buckets=BUCKETS)
events_flushed = Counter("events_flushed", "Events whose count is in MySQL.")
batches_replayed = Counter(
    "batches_replayed", "Batches found in the ledger, so dropped and not applied again."
)

buffer_fingerprints = Gauge("buffer_fingerprints", "Fingerprints in the open buffer.")
buffer_batches = Gauge("buffer_batches", "Batches claimed and not yet in MySQL.")
flush_age = Gauge("flush_age_seconds", "Since the last flush that went well.")
queue_depth = Gauge("queue_depth", "First events that wait for their digest.")
queue_age = Gauge("queue_age_seconds", "Age of the oldest first event that waits for its digest.")
