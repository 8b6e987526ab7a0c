"""The limits that alerts watch, and panels draw: a test holds `rules.yml` to them."""

P95_SECONDS = 0.05
"""The target of both twins."""
ROW_SECONDS = 1
"""The promise: so late a first event's row may be."""
FLUSH_INTERVALS = 3
"""So many without a flush are an alert, and the async twin is not ready."""
REDIS_MEMORY = 0.8
"""Of its limit."""
GENERATOR_CORES = 0.9
"""Of its core: from there on the generator is what is measured."""
