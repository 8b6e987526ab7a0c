"""Every setting of both twins: `naive_port` is the environment variable TWINS_NAIVE_PORT, and so on.

The prefix keeps them apart from what shells, conda, CI and container engines set by themselves, such as HOST
or REDIS_PORT.
"""

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL

PREFIX = "TWINS_"
SECRETS = Path("/run/secrets")
"""Where a container engine puts files named after settings, such as `twins_mysql_password`."""

LEAST_SECRET = 16
LEAST_RATE = 0.001
"""Events a second: with the highest of bursts and any less, a service could be ahead of the calendar."""
OTHERS = "(other services)"
"""Who services are that share one quota. Its overflow issue is theirs."""

MAX_PORT = 65_535
Port = Annotated[int, Field(ge=1, le=MAX_PORT)]
Host = Annotated[str, Field(pattern=r"^[^\s/]+$", max_length=255)]
Word = Annotated[str, Field(pattern=r"^[^\x00-\x1f]+$", max_length=64)]


def _folder(path: Path) -> Path:
    if path.exists() and not path.is_dir():
        raise ValueError("Input should be a folder, or nothing yet")
    return path


Folder = Annotated[Path, AfterValidator(_folder)]


def _seconds(low: float, high: float) -> Any:
    return Field(ge=low, le=high, allow_inf_nan=False)


def _parsed(text: object) -> object:
    """JSON, where it comes from a variable: read here, so that what is wrong is told as of any other."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text, object_pairs_hook=_once_each)
    except ValueError:
        raise ValueError("Input should be JSON, with no key twice") from None


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _listed(text: object) -> object:
    return [each.strip() for each in text.split(",") if each.strip()] if isinstance(text, str) else text


def _high_enough(rate: float) -> float:
    if 0 < rate < LEAST_RATE:
        raise ValueError(f"Input should be 0, or at least {LEAST_RATE}")
    return rate


def _none_of_the_others(service: str) -> str:
    if service == OTHERS:
        raise ValueError("it is no service: the others have what every service has")
    return service


def _reachable(peer: str) -> str:
    host, _, port = peer.rpartition(":")
    try:
        host.encode("idna")  # as whoever looks it up will do
    except UnicodeError:
        raise ValueError("Input should be host:port, and no name of a host is like that") from None
    if not 1 <= int(port) <= MAX_PORT:
        raise ValueError(f"Input should be host:port, with a port of 1 to {MAX_PORT}")
    return peer


RateLimit = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False), AfterValidator(_high_enough)]
RateBurst = Annotated[int, Field(ge=0, le=10_000_000)]
NewIssues = Annotated[int, Field(ge=0, le=100_000)]
Service = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_none_of_the_others)]
Peer = Annotated[
    str, Field(pattern=re.compile(r"^[^\s/:]+:[0-9]{1,5}$"), max_length=255), AfterValidator(_reachable)
]


class Own(BaseModel):
    """What is a service's own, where it is not what every service has."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rate_limit: RateLimit | None = None
    rate_burst: RateBurst | None = None
    new_issues: NewIssues | None = None


class Settings(BaseSettings):
    """Ports are private ones, so that a system MySQL on 3306 or Redis on 6379 is never touched."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, secrets_dir=SECRETS if SECRETS.is_dir() else None
    )

    host: Host = "127.0.0.1"
    naive_port: Port = 9001
    async_port: Port = 9002
    worker_metrics_port: Port = 9003
    scheduler_metrics_port: Port = 9004
    floor_port: Port = 9005
    naive_metrics_port: Port = 9006
    """The naive twin's metrics once more: a scrape must not wait for a free thread."""
    load_exporter_port: Port = 9007
    live_port: Port = 9008
    """The page that shows a run while it goes on."""
    prometheus_port: Port = 19090
    mysql_exporter_port: Port = 19104
    redis_exporter_port: Port = 19121
    node_exporter_port: Port = 19100
    process_exporter_port: Port = 19256
    show_docs: bool = True
    """Whether a twin answers `/docs` and `/openapi.json`."""
    show_metrics: bool = True
    """Whether a twin answers `/metrics` where its clients are. Without it the naive twin's are on
    `naive_metrics_port` alone, and those of the async twin's API nowhere."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Server processes of each twin."""

    mysql_host: Host = "127.0.0.1"
    mysql_port: Port = 13306
    mysql_user: Annotated[Word, Field(max_length=32)] = "twins"
    mysql_password: Word = "twins"  # noqa: S105 - of a private instance that listens on loopback only
    mysql_database: Word = "twins"
    pool_size: Annotated[int, Field(ge=1, le=1_000)] = 30
    pool_timeout: Annotated[float, _seconds(0.01, 600)] = 30.0
    """Seconds that a request waits for a connection before it is answered 503."""

    redis_host: Host = "127.0.0.1"
    redis_port: Port = 16379
    redis_timeout: Annotated[float, _seconds(0.05, 60)] = 2.0
    """Seconds for one Redis call; an unreachable Redis must never turn into a hanging client."""

    spool_folder: Folder = Path(".run/spool")
    """Where the async twin keeps events while neither Redis nor MySQL can be had; on a disk that lasts."""
    spool_bytes: Annotated[int, Field(ge=0, le=2**40)] = 256 * 2**20
    """What may wait there, of all processes; beyond it events are answered 503."""

    flush_interval: Annotated[float, _seconds(0.1, 3_600)] = 5.0
    """Seconds between two flushes: how late a count may be in MySQL."""

    rate_limit: RateLimit = 0.0
    """Events a second that each service may send, LEAST_RATE or more; 0: as many as it likes."""
    rate_burst: RateBurst = 0
    """Events that a service may send at once; 0: as many as in a second."""
    new_issues: NewIssues = 0
    """New issues that each service may create in any `new_issues_window`; 0: as many as it likes."""
    new_issues_window: Annotated[float, _seconds(1, 7 * 86_400)] = 3_600.0
    """Seconds."""
    services: Annotated[dict[Service, Own], NoDecode, BeforeValidator(_parsed), Field(max_length=1_000)] = {}
    """Services for which other limits hold, as JSON: `{"shop": {"rate_limit": 100, "new_issues": 10}}`."""
    peers: Annotated[list[Peer], NoDecode, BeforeValidator(_listed), Field(max_length=16)] = []
    """Where the other processes of the async twin's API listen, `host:port,host:port`: they tell each other
    what they have let through."""
    peer_port: Port = 9009
    """Where this one listens, if it has peers."""
    second_port: Port = 9010
    second_peer_port: Port = 9011
    """Of a second process of the API, where the throttle is measured on two."""
    peer_secret: Annotated[str, Field(max_length=256), Field(validate_default=True)] = ""
    """What all of them know, and nobody else."""

    @field_validator("peers")
    @classmethod
    def _are_of_one_process(cls, peers: list[str], info: ValidationInfo) -> list[str]:
        if peers and info.data.get("workers", 1) > 1:
            raise ValueError("with peers TWINS_WORKERS has to be 1: each process listens on its own port")
        return peers

    @field_validator("peer_secret")
    @classmethod
    def _is_needed(cls, secret: str, info: ValidationInfo) -> str:
        if info.data.get("peers") and len(secret) < LEAST_SECRET:
            raise ValueError(f"with peers it has to be at least {LEAST_SECRET} characters")
        return secret

    @property
    def mysql_url(self) -> URL:
        return URL.create(
            "mysql+pymysql",
            self.mysql_user,
            self.mysql_password,
            self.mysql_host,
            self.mysql_port,
            self.mysql_database,
            {"charset": "utf8mb4"},
        )


def variable(name: str) -> str:
    """Return the environment variable of the setting `name`."""
    return PREFIX + name.upper()


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables with which a process reads the same settings."""
    return variables(**settings.model_dump(exclude_none=True))


def variables(**settings: object) -> dict[str, str]:
    """Return the variables of these settings alone."""
    return {variable(name): _text(value) for name, value in settings.items()}


def _text(value: object) -> str:
    match value:
        case dict():
            return json.dumps(value)
        case list():
            return ",".join(value)
        case _:
            return str(value)


def load(status: int = 1, **given: object) -> Settings:
    """Return the settings of this process, `given` before its environment.

    Ends the process with `status` and a line for each that can't be: every program reads them first.
    """
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        print("\n".join(map(_line, error.errors())), file=sys.stderr)
        sys.exit(status)


def _line(error: Any) -> str:
    name, *inside = map(str, error["loc"])
    given = str(error["input"])
    is_secret = any(word in name for word in ("password", "secret"))
    shown = "" if is_secret else f"={given if given.isprintable() else repr(given)}"
    return ": ".join([f"{variable(name)}{shown}", *([".".join(inside)] if inside else []), error["msg"]])
