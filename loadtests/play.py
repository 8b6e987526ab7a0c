"""`python -m loadtests.play`: Locust's web UI on what `make up` has started, to change the users at will."""

import subprocess
import sys

from loadtests.bootstrap import ROOT
from loadtests.load.subjects import ASYNC, NAIVE, SUBJECTS, TWINS
from loadtests.stack.roles import port_of
from loadtests.stack.servers import LOOPBACK, is_heard
from loadtests.trial.options import MakeParser
from shared.settings import load

LOCUSTFILE = "loadtests/load/playing.py"
WEB_PORTS = {ASYNC: 8089, NAIVE: 8090}
"""So that both can be loaded at once."""
FAILED = 1


def main(arguments: list[str] | None = None) -> int:
    parser = MakeParser(prog="load")
    parser.add_argument("--users", type=int, default=50, help="to begin with")
    parser.add_argument("--twins", choices=TWINS, default=ASYNC, help="which one")
    parser.add_argument("--web-port", type=int, help="without it, that of the twin")
    options = parser.parse_args(arguments)
    web_port = options.web_port or WEB_PORTS[options.twins]
    _, port = port_of(SUBJECTS[options.twins], load())
    if not is_heard(port):
        print(f"load: {options.twins} does not run on port {port}; `make up` starts it", file=sys.stderr)
        return FAILED
    print(
        f"load: http://{LOOPBACK}:{web_port} shows it, and changes the users; Ctrl-C ends it",
        flush=True,
    )
    try:
        command = [sys.executable, "-m", "locust", *words(options.users, port, web_port)]
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    except KeyboardInterrupt:  # Locust gets it, too, and ends in order
        return 0


def words(users: int, port: int, web_port: int) -> list[str]:
    """Return Locust's options."""
    return [
        *("--locustfile", LOCUSTFILE, "--host", f"http://{LOOPBACK}:{port}"),
        *("--web-host", LOOPBACK, "--web-port", str(web_port), "--autostart"),
        *("--users", str(users), "--spawn-rate", str(users), "--loglevel", "WARNING"),
    ]


if __name__ == "__main__":
    sys.exit(main())
