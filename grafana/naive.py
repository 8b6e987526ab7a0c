"""The naive twin: why it falls."""

from grafana_foundation_sdk.builders import dashboard

from grafana.board import board
from grafana.panels import POST, Query, graph, guide, quantile

JOB = 'job="naive_sync"'
TIME = "mysql_operation_duration_seconds"
GUIDE = """
Read it in the order in which a request goes: **a thread** (64; `busy` at 64, requests wait before any
metric sees them), **a connection** (30; `waiting` above 0, they queue for one), **the statements** (two or
three for each request), **row locks** (repeated messages share a row), **the commit** and its fsync. The
first of these that is full is why p95 is up. All of them calm and p95 up: the process has no CPU left, see
*Machine*.
"""
PANELS = (
    graph(
        "Pool: connections in use, requests waiting",
        "30 connections. All in use and requests waiting: each request first queues for a connection, and "
        "gets a 503 after 30 s.",
        "short",
        Query(f'sum by (state) (db_pool_connections{{{JOB},state=~"in_use|size"}})', "{{state}}"),
        Query(f"sum(db_pool_waiting{{{JOB}}})", "waiting"),
    ),
    graph(
        "Wait for a connection, p95",
        "How long 95 of 100 requests waited for the pool at most. Milliseconds are fine; above the time "
        "of the statements the pool is the limit.",
        "s",
        Query(quantile(0.95, TIME, f'{JOB},operation="checkout"'), "checkout"),
    ),
    graph(
        "Statements, p95 by kind",
        "Time of one statement as the twin sees it. `update` up alone: row locks. `commit` up alone: the "
        "disk. All up: MySQL or this process has no CPU.",
        "s",
        Query(quantile(0.95, TIME, f'{JOB},operation!="checkout"', "operation"), "{{operation}}"),
    ),
    graph(
        "Statements per request",
        "MySQL statements and commits for each request. About 3 by design: read, write, commit. Each is a "
        "round trip that the client waits for.",
        "short",
        Query(
            f'sum(rate({TIME}_count{{{JOB},operation!="checkout"}}[$__rate_interval]))'
            f" / sum(rate(http_requests_total{{{JOB},{POST}}}[$__rate_interval]))",
            "statements",
        ),
    ),
    graph(
        "InnoDB: waits for row locks per second",
        "Two requests on one row: the second waits for the first one's commit. Rising with the users: the "
        "repeated messages are the limit, and more connections make it worse.",
        "short",
        Query("rate(mysql_global_status_innodb_row_lock_waits[$__rate_interval])", "waits"),
        Query("mysql_global_status_innodb_row_lock_current_waits", "waiting now"),
    ),
    graph(
        "Commits and fsyncs per second",
        "Each naive event is a commit, and each commit an fsync, unless MySQL can join some. Flat while "
        "users rise: the disk is the limit.",
        "short",
        Query('rate(mysql_global_status_commands_total{command="commit"}[$__rate_interval])', "commits"),
        Query("rate(mysql_global_status_innodb_data_fsyncs[$__rate_interval])", "fsyncs"),
    ),
    graph(
        "Threads busy",
        "Requests that have one of the 64 threads. At 64 the others wait unseen in the server: the "
        "client's p95 is then above the twin's own.",
        "short",
        Query(f"sum(http_requests_in_flight{{{JOB}}})", "of 64 threads"),
        Query("mysql_global_status_threads_running", "running in MySQL"),
    ),
    graph(
        "Failures by cause, per second",
        "`IntegrityError`: two first events of one message raced (500). `PoolTimeout`: no connection "
        "within 30 s (503). `OperationalError`: MySQL away, or a deadlock (503).",
        "short",
        Query(
            f"sum by (error) (rate(mysql_errors_total{{{JOB}}}[$__rate_interval]))",
            "{{error}}",
        ),
    ),
)


def build() -> dashboard.Dashboard:
    new = board("naive", "Naive: why it falls", "Pool, locks, commits, threads: which is full first.")
    for panel in PANELS:
        new = new.with_panel(panel)
    return new.with_panel(guide(GUIDE))
