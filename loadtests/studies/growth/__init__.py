"""How p95 and CPU per event grow: over the rate, the fingerprints, the size of an event, the processes.

An open model at a fixed rate for each point, on a fresh twin. What is varied by each series is in `series`.
"""
