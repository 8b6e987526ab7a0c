"""A third implementation of the contract: only what it tells over HTTP is known of it."""

import http.client
import json
from collections import Counter
from typing import Any
from urllib.parse import quote, urlsplit

from loadtests.trial.generator import TrialFailed

TIMEOUT = 30.0
LISTING = "/api/v1/errors?sort=first_seen&limit=100"
HEALTH = "/api/v1/health"


class Listing:
    """The events at `base_url` since this was made. Each look reads every page: only for when no load runs.

    Raises TrialFailed where no implementation of the contract answers.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._before: Counter[str] = Counter()
        self._before = self.counts()

    def total(self) -> int:
        return self.counts().total()

    def counts(self) -> Counter[str]:
        """Return events by fingerprint, those of before left out."""
        counts: Counter[str] = Counter()
        path, read = LISTING, set[str]()
        while path not in read:
            read.add(path)
            page = _get(self._base_url, path)
            try:
                counts.update({issue["fingerprint"]: int(issue["times_seen"]) for issue in page["issues"]})
                cursor = page["next_cursor"]
            except (KeyError, TypeError, ValueError):
                raise _no_contract(self._base_url, path) from None
            if cursor is None:
                return counts - self._before
            path = f"{LISTING}&cursor={quote(str(cursor))}"
        raise TrialFailed(f"{self._base_url}{LISTING} does not end")


def check_health(base_url: str) -> None:
    """Raises TrialFailed where nobody is there, before anything is measured."""
    _get(base_url, HEALTH)


def _get(base_url: str, path: str) -> Any:
    """Return the `data` of an answer."""
    url = urlsplit(base_url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=TIMEOUT)
    try:
        connection.request("GET", url.path + path)
        answer = connection.getresponse()
        if answer.status != 200:
            raise TrialFailed(f"{base_url}{path} answered {answer.status}")
        return json.loads(answer.read())["data"]
    except (OSError, http.client.HTTPException) as error:
        raise TrialFailed(f"{base_url}{path} does not answer: {error}") from None
    except (ValueError, KeyError, TypeError):
        raise _no_contract(base_url, path) from None
    finally:
        connection.close()


def _no_contract(base_url: str, path: str) -> TrialFailed:
    return TrialFailed(f"{base_url}{path}: not an answer of the contract")
