"""The limits that alerts watch, and panels draw: a test holds `rules.yml` to them."""

P95_SECONDS = 0.05
"""The target of both twins."""
ROW_SECONDS = 1
"""The promise: so late a first event's row may be."""
FLUSH_AGE_SECONDS = 15
"""Three intervals of the default setting of 5 s."""
REDIS_MEMORY = 0.8
"""Of its limit."""
GENERATOR_CORES = 0.9
"""Of its core: from there on the generator is what is measured."""
