"""The steps between the twins, one decision each, so that a reader sees what each of them bought.

1. `naive_sync`: read, raise and write back, one transaction for each request.
2. `upsert`: the same app, but one statement, and the database adds.
3. `group_upsert`: the events of a moment share one upsert and one commit.
4. `redis_count`: Redis counts, one round trip for each event; MySQL gets batches, out of the request path.
5. `async_dedup`: the events of a moment share that round trip.

Variants of the benchmark, not services to start from: each takes its twin's app and changes one part.
"""
