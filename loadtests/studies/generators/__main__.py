"""`python -m loadtests.studies.generators`: this project's load generator beside FastHttpUser, wrk and hey.

All one after the other, on the last core, against the do-nothing handler on the others. On a slow handler
(10 ms) the three must agree; on the plain one they show what each of them can send, and adds.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from loadtests.load import workload
from loadtests.stack import process
from loadtests.stack.roles import HEALTH, HTTP, answers
from loadtests.stack.servers import LOOPBACK
from loadtests.stack.surroundings import surroundings
from loadtests.trial.generator import LOCUSTFILE
from shared.event import PATH
from shared.settings import load

SECONDS, CONNECTIONS, RATE = 8, 20, 500
CORES = psutil.Process().cpu_affinity()
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
LUA = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = io.open("{body}"):read("*a")
"""


class Figures(NamedTuple):
    rps: float
    p50_ms: float


def main() -> int:
    missing = [tool for tool in ("wrk", "hey") if not shutil.which(tool)]
    if missing:
        print(f"against: {' and '.join(missing)} not found; Debian has packages of these names")
        return 1
    os.sched_setaffinity(0, {CORES[-1]})
    print(f"| handler | model | generator | requests/s | p50 ms |\n{'| --- ' * 5}|")
    with tempfile.TemporaryDirectory() as name:
        for handler, factory in (("10 ms", "create_slow_app"), ("nothing", "create_app")):
            with serving(factory, Path(name)) as url:
                for model, generator, figures in measured(url, Path(name)):
                    print(
                        f"| {handler} | {model} | {generator} | {figures.rps:,.0f} | {figures.p50_ms:.2f} |"
                    )
    return 0


def measured(url: str, folder: Path) -> Iterator[tuple[str, str, Figures]]:
    closed, at_rate = f"{CONNECTIONS} connections", f"{RATE}/s"
    body, lua = folder / "body.json", folder / "post.lua"
    body.write_bytes(next(workload.events(1, 0)).body)
    lua.write_text(LUA.format(body=body))
    yield closed, "this", ours(url, folder, "--profile=smoke", "--think=0")
    yield closed, "wrk", wrk(url, lua)
    yield closed, "FastHttpUser", fast_http_user(url)
    yield at_rate, "this", ours(url, folder, "--profile=open", f"--rate={RATE}")
    yield at_rate, "hey", hey(url, body)


def ours(url: str, folder: Path, *options: str) -> Figures:
    record = folder / "record.json"
    locust(LOCUSTFILE, url, f"--record={record}", f"--level-seconds={SECONDS}", *options)
    level = json.loads(record.read_text())["levels"][-1]
    return Figures(level["achieved_rps"], level["latency_ms"]["p50"])


def fast_http_user(url: str) -> Figures:
    users = (f"--users={CONNECTIONS}", f"--spawn-rate={CONNECTIONS}", f"--run-time={SECONDS}")
    (stats,) = json.loads(locust(Path(__file__).with_name("fasthttpuser.py"), url, "--json", *users))
    times = [float(ms) for ms, number in stats["response_times"].items() for _ in range(number)]
    seconds = stats["last_request_timestamp"] - stats["start_time"]
    return Figures(stats["num_requests"] / seconds, sorted(times)[len(times) // 2])


def locust(file: Path, url: str, *options: str) -> str:
    options = (f"--host={url}", "--headless", "--only-summary", "--loglevel=ERROR", *options)
    return run(sys.executable, "-m", "locust", f"--locustfile={file}", *options)


def wrk(url: str, lua: Path) -> Figures:
    said = run("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}", "--latency", f"-s{lua}", url + PATH)
    return Figures(found(r"Requests/sec:\s+([\d.]+)", said), _wrk_ms(said))


def _wrk_ms(said: str) -> float:
    return found(r"50%\s+([\d.]+)", said) * UNITS[re.findall(r"50%\s+[\d.]+(\w+)", said)[0]]


def hey(url: str, body: Path) -> Figures:
    rate = ("-c", str(CONNECTIONS), "-q", str(RATE // CONNECTIONS), "-z", f"{SECONDS}s")
    said = run("hey", *rate, "-m", "POST", "-T", "application/json", "-D", str(body), url + PATH)
    return Figures(found(r"Requests/sec:\s+([\d.]+)", said), found(r"50%+ in ([\d.]+)", said) * 1000)


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def found(pattern: str, said: str) -> float:
    return float(re.findall(pattern, said)[0])


@contextmanager
def serving(factory: str, folder: Path) -> Iterator[str]:
    port = str(load().floor_port)
    uvicorn = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        f"loadtests.stack.floor:{factory}",
        "--port",
        port,
    ]
    quiet = ["--no-access-log", "--no-proxy-headers", "--loop=uvloop", f"--http={HTTP}"]
    server = process.spawn([*uvicorn, *quiet], folder / "log", surroundings(folder), set(CORES[:-1]) or None)
    url = f"http://{LOOPBACK}:{port}"
    try:
        while not answers(LOOPBACK, int(port), HEALTH) and server.poll() is None:
            time.sleep(0.1)
        yield url
    finally:
        process.kill(server)


if __name__ == "__main__":
    sys.exit(main())
