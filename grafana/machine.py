"""CPU, pressure, memory and disk: by process, by container, and of the whole machine."""

from grafana_foundation_sdk.builders import dashboard

from grafana.board import board, choice
from grafana.panels import CORES, Query, graph, guide

NAMED = 'groupname=~"$process"'
SERVICE = "container_label_com_docker_compose_service"
IN_COMPOSE = f'{SERVICE}!=""'
GUIDE = """
A twin has one process: **1 core is its end**, whatever the machine has left. MySQL may use more.
**Pressure** is the share of time in which something waited: CPU pressure with idle cores means that the
processes are pinned, as in a benchmark. **Stolen** CPU is taken by other machines on the same host: such a
trial is invalid. Memory that climbs over a soak and does not come back is a leak; in a container, 100 % of
the limit is where it is killed.
"""


def rate_of(counter: str) -> str:
    """Return the query for a counter of the process exporter, by what the processes do."""
    return f"sum by (groupname) (rate(namedprocess_namegroup_{counter}{{{NAMED}}}[$__rate_interval]))"


PROCESSES = (
    graph(
        "CPU by process",
        "Cores. A twin at 1 is at its end; the generator at 0.9 is what is measured instead.",
        CORES,
        Query(
            rate_of("cpu_seconds_total"),
            "{{groupname}}",
        ),
    ),
    graph(
        "CPU of the machine, by kind",
        "Cores. `steal` above 5 % is another machine's work, `iowait` a disk that is waited for.",
        CORES,
        Query('sum by (mode) (rate(node_cpu_seconds_total{mode!="idle"}[$__rate_interval]))', "{{mode}}"),
    ),
    graph(
        "Pressure",
        "Share of time in which at least one process waited for it. Disk pressure with a naive twin under "
        "load is its commits.",
        "percentunit",
        Query("rate(node_pressure_cpu_waiting_seconds_total[$__rate_interval])", "CPU"),
        Query("rate(node_pressure_io_waiting_seconds_total[$__rate_interval])", "disk"),
        Query("rate(node_pressure_memory_waiting_seconds_total[$__rate_interval])", "memory"),
    ),
    graph(
        "Memory by process",
        "Resident. Flat under steady load; a line that climbs over a soak is a leak.",
        "bytes",
        Query(
            f'sum by (groupname) (namedprocess_namegroup_memory_bytes{{{NAMED},memtype="resident"}})',
            "{{groupname}}",
        ),
    ),
    graph(
        "Memory of the machine",
        "Available to new work without swapping. Near 0, everything gets slow at once.",
        "bytes",
        Query("node_memory_MemAvailable_bytes", "available"),
        Query("node_memory_MemTotal_bytes", "in all"),
    ),
    graph(
        "Written by process",
        "MySQL's commits and Redis' log. The async twin's MySQL writes in steps, one each flush.",
        "Bps",
        Query(
            rate_of("write_bytes_total"),
            "{{groupname}}",
        ),
    ),
    graph(
        "Disk: share of time busy",
        "By disk. Near 100 % an fsync waits for the one before it, and so does whoever waits for the commit.",
        "percentunit",
        Query("rate(node_disk_io_time_seconds_total[$__rate_interval])", "{{device}}"),
    ),
    graph(
        "Disk: writes per second",
        "By disk. What one event costs: this over the twin's rate.",
        "iops",
        Query("rate(node_disk_writes_completed_total[$__rate_interval])", "{{device}}"),
    ),
)
CONTAINERS = (
    graph(
        "CPU by container",
        "Cores. An app that reaches its limit (1.5) is held back until the next tenth of a second.",
        CORES,
        Query(
            f"sum by ({SERVICE}) (rate(container_cpu_usage_seconds_total{{{IN_COMPOSE}}}[$__rate_interval]))",
            f"{{{{{SERVICE}}}}}",
        ),
    ),
    graph(
        "Memory by container, of its limit",
        "Working set over the limit. At 100 % the container is killed; climbing over a soak, it will be.",
        "percentunit",
        Query(
            f"max by ({SERVICE}) (container_memory_working_set_bytes{{{IN_COMPOSE}}}"
            f" / (container_spec_memory_limit_bytes{{{IN_COMPOSE}}} > 0))",
            f"{{{{{SERVICE}}}}}",
        ),
    ),
)


def build() -> dashboard.Dashboard:
    new = board("machine", "Machine", "CPU, pressure, memory and disk, by process or container.")
    query = "label_values(namedprocess_namegroup_num_procs, groupname)"
    new = new.with_variable(choice("process", "Process", "Whose lines are drawn.", query))
    for panel in PROCESSES:
        new = new.with_panel(panel)
    new = new.with_panel(guide(GUIDE)).with_row(dashboard.Row("Containers (in Compose only, from cAdvisor)"))
    for panel in CONTAINERS:
        new = new.with_panel(panel)
    return new
