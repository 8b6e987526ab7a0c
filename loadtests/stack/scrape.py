"""Asks a process of the stack for its metrics, or for another page."""

import http.client


def fetch(address: str, timeout: float, path: str = "/metrics") -> str | None:
    """Return what `path` at "host:port" says; None where there is no such answer within `timeout` s."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
