"""A local page that shows a run while it goes on: what it needs is the stack's own, no Prometheus."""
