"""The rungs between the twins, one decision each, so that a reader sees what each of them bought.

Variants of the benchmark, not services to start from: each takes its twin's app and changes one part. Which
there are, in their order, `loadtests/load/subjects.py` says.
"""
