"""Every setting of both twins, read from environment variables of the same name in capitals."""

from functools import lru_cache
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL

SECRETS = Path("/run/secrets")
"""Where a container engine puts files named after settings, such as `mysql_password`."""


class Settings(BaseSettings):
    """Ports are private ones, so that a system MySQL on 3306 or Redis on 6379 is never touched."""

    model_config = SettingsConfigDict(secrets_dir=SECRETS if SECRETS.is_dir() else None)

    host: str = "127.0.0.1"
    naive_port: int = 9001
    async_port: int = 9002
    worker_metrics_port: int = 9003
    scheduler_metrics_port: int = 9004
    floor_port: int = 9005
    naive_metrics_port: int = 9006
    """The naive twin's metrics once more: a scrape must not wait for a free thread."""
    load_exporter_port: int = 9007
    live_port: int = 9008
    """The page that shows a run while it goes on."""
    prometheus_port: int = 19090
    mysql_exporter_port: int = 19104
    redis_exporter_port: int = 19121
    node_exporter_port: int = 19100
    process_exporter_port: int = 19256
    workers: int = 1
    """Server processes of each twin."""

    mysql_host: str = "127.0.0.1"
    mysql_port: int = 13306
    mysql_user: str = "twins"
    mysql_password: str = "twins"  # noqa: S105 - of a private instance that listens on loopback only
    mysql_database: str = "twins"
    pool_size: int = 30
    pool_timeout: float = 30.0
    """Seconds that a request waits for a connection before it is answered 503."""

    redis_host: str = "127.0.0.1"
    redis_port: int = 16379
    redis_timeout: float = 2.0
    """Seconds for one Redis call; an unreachable Redis must turn into a 503, never into a hanging client."""

    flush_interval: float = 5.0
    """Seconds between two flushes: how late a count may be in MySQL."""

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


@lru_cache
def settings() -> Settings:
    return Settings()
