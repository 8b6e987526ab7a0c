"""Asks a process of the stack for its metrics."""

import http.client


def fetch(address: str, timeout: float) -> str | None:
    """Return what `/metrics` at "host:port" says; None where there is no such answer within `timeout` s."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
