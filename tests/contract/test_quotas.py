"""A rate and a budget for each service: what both twins promise, whatever kind of limiter each has."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from loadtests.load.subjects import ASYNC, TWINS
from loadtests.stack import ROLES_OF, Stack
from shared.answer import Success
from shared.fingerprint import fingerprint
from shared.quota import MAX_SERVICES, OTHERS, OVERFLOW
from shared.services import Services
from shared.settings import variable
from tests import client
from tests.contract.test_alike import check_alike
from tests.contract.test_log import check_failure
from tests.shared.test_metrics import value

SERVICES = "/api/v1/services"
NUMBERS = ("events", "throttled", "folded", "left", "new_issues", "new_issues_left")
RATE, BURST, BUDGET = 0.01, 3, 2
"""Of every service: nothing comes back while a test lasts."""
HOSTILE = (
    *("a", "a ", " a", "a  ", "A", "\u00e1", "a\u0301", "\x01\x1f\x7f", "\U0001f525" * 64, "a" * 64),
    *(
        OTHERS,
        OTHERS + " ",
        "*",
        "a/3/1/second",
        "hpt:buffer",
        "'; DROP TABLE issues; -- %s {0} \\",
        '{"a": 1}',
    ),
)


def own(twin: str) -> dict[str, dict[str, float]]:
    """By service, what holds for it alone."""
    return {
        f"quick, {twin}": {"rate_limit": 2, "rate_burst": 2},
        f"steady, {twin}": {"rate_limit": 20, "rate_burst": 5},
        f"free, {twin}": {"rate_limit": 0, "new_issues": 0},
        f"new, {twin}": {"rate_limit": 0},
        f"listed, {twin}": {"rate_burst": 6},
        f"only a rate, {twin}": {"new_issues": 0},
        f"only a budget, {twin}": {"rate_limit": 0},
    }


SETTINGS = {
    variable("rate_limit"): str(RATE),
    variable("rate_burst"): str(BURST),
    variable("new_issues"): str(BUDGET),
    variable("services"): json.dumps({name: quota for twin in TWINS for name, quota in own(twin).items()}),
}


@pytest.fixture(scope="module")
def limited(stack: Stack) -> Iterator[Stack]:
    """Both twins with a rate and a budget."""
    roles = [role for twin in TWINS for role in ROLES_OF[twin]]
    for role in roles:
        stack.stop(role)
    stack.start("mysql", "redis")
    stack.reset()
    stack.start(*roles, more=dict.fromkeys(roles, SETTINGS))
    yield stack
    for role in reversed(roles):
        stack.stop(role)
    stack.reset()


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(limited: Stack, twin: str) -> str:
    return limited.base_url(twin)


def kept(twin: str) -> str:
    return "queued" if twin == ASYNC else "saved"


def told(answer: client.Answer) -> str:
    assert answer.status == 200, answer.body
    return str(answer.json["data"]["status"])


def used_up(url: str, service: str, message: str = "too often") -> client.Answer:
    """The first answer to an event beyond the burst."""
    answers = [client.log(url, message, service=service) for _ in range(BURST + 1)]
    assert [answer.status for answer in answers] == [200] * BURST + [429]
    return answers[-1]


def listed(url: str) -> list[dict[str, Any]]:
    answer = client.get(url, SERVICES)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert Success[Services].model_validate_json(answer.body, strict=True).success
    services: list[dict[str, Any]] = answer.json["data"]["services"]
    return services


def numbers(url: str) -> dict[str, tuple[int | None, ...]]:
    """By service, in the order of NUMBERS."""
    return {each["service"]: tuple(each[number] for number in NUMBERS) for each in listed(url)}


def shows(url: str, service: str, expected: tuple[int | None, ...]) -> None:
    client.eventually(lambda: numbers(url).get(service) == expected, f"{service!r} has {expected}")


def test_beyond_the_burst_an_event_is_refused(twin: str, url: str) -> None:
    answer = used_up(url, f"refused, {twin}")
    failure = check_failure(answer, 429)
    assert (failure.message, failure.errors) == ("The service sends more events than it may", [])
    seconds = answer.headers["Retry-After"]
    assert re.fullmatch(r"[1-9]\d*", seconds)
    assert int(seconds) <= BURST / RATE
    assert answer.headers["RateLimit"] == f'"service";r=0;t={seconds}'
    assert answer.headers["RateLimit-Policy"] == f'"service";q={BURST};w={BURST / RATE:.0f}'
    assert answer.headers["Connection"] != "close"


def test_both_twins_say_the_same(limited: Stack) -> None:
    first, second = (used_up(limited.base_url(twin), f"alike, {twin}") for twin in TWINS)
    check_alike(first, second)
    assert first.headers["RateLimit-Policy"] == second.headers["RateLimit-Policy"]
    for answer in (first, second):
        assert {"retry-after", "ratelimit", "ratelimit-policy"} <= {name.lower() for name in answer.headers}


def test_a_connection_goes_on_after_it(twin: str, url: str) -> None:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=client.TIMEOUT)
    body = json.dumps({"message": "m", "service": f"one connection, {twin}"})
    statuses = []
    for _ in range(BURST + 2):
        connection.request("POST", client.LOG, body, client.JSON)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    assert statuses == [200] * BURST + [429] * 2


def test_who_waits_as_told_gets_through(twin: str, url: str) -> None:
    service = f"quick, {twin}"
    answers = [client.log(url, "quick", service=service) for _ in range(2)]
    while answers[-1].status == 200:
        answers.append(client.log(url, "quick", service=service))
    time.sleep(int(answers[-1].headers["Retry-After"]))
    assert client.log(url, "quick", service=service).status == 200


def test_no_more_get_through_than_the_burst_and_what_the_rate_gives(twin: str, url: str) -> None:
    """Over a time; at least what a limiter may let through that knows no better than the last window."""
    service, began = f"steady, {twin}", time.monotonic()
    passed = refused = 0
    while refused < 30 or passed < 15:
        status = client.log(url, "steady", service=service).status
        passed, refused = passed + (status == 200), refused + (status == 429)
        assert passed <= 5 + 20 * (time.monotonic() - began)


def test_what_was_refused_is_not_counted(twin: str, url: str) -> None:
    service = f"not counted, {twin}"
    used_up(url, service, "known")
    assert client.log(url, "unknown", service=service).status == 429
    assert client.issue(url, fingerprint("known", service)).times_seen == BURST
    client.log(url, "later", service=f"after {service}")
    client.issue(url, fingerprint("later", f"after {service}"))
    assert client.get(url, f"{client.ERRORS}/{fingerprint('unknown', service)}").status == 404


def test_a_bad_event_is_refused_as_ever(twin: str, url: str) -> None:
    used_up(url, f"bad, {twin}")
    check_failure(client.log(url, "", service=f"bad, {twin}"), 400)


def test_others_are_not_touched(twin: str, url: str) -> None:
    used_up(url, f"noisy, {twin}")
    for number in range(3):
        assert told(client.log(url, "quiet", service=f"quiet {number}, {twin}")) == kept(twin)


def test_a_service_may_have_no_limit_of_its_own(twin: str, url: str) -> None:
    service = f"free, {twin}"
    assert {told(client.log(url, f"free {n}", service=service)) for n in range(20)} == {kept(twin)}
    assert service not in numbers(url)


def test_beyond_the_budget_a_new_issue_is_folded(twin: str, url: str) -> None:
    service, before = f"new, {twin}", value(url, "events_folded_total")

    def send(message: str) -> str:
        return told(client.log(url, message, service=service, stackTrace="at main"))

    assert [send(f"new {number}") for number in range(BUDGET + 3)] == [kept(twin)] * BUDGET + ["folded"] * 3
    assert [send("new 0"), send("new 4"), send("new 0")] == [kept(twin), "folded", kept(twin)]
    rest = client.issue(url, fingerprint(OVERFLOW, service))
    assert (rest.service, rest.message, rest.stackTrace, rest.times_seen) == (service, OVERFLOW, None, 4)
    assert client.issue(url, fingerprint("new 0", service)).times_seen == 3
    assert client.get(url, f"{client.ERRORS}/{fingerprint('new 4', service)}").status == 404
    issues = client.get(url, f"{client.ERRORS}?service={quote(service)}").json["data"]["issues"]
    assert {issue["message"] for issue in issues} == {"new 0", "new 1", OVERFLOW}
    assert value(url, "events_folded_total") == before + 4


def test_an_issue_that_was_known_takes_no_place_in_the_budget(twin: str, url: str) -> None:
    service = f"known, {twin}"
    statuses = [told(client.log(url, message, service=service)) for message in ("one", "one", "two")]
    assert statuses == [kept(twin)] * 3


def test_the_services_are_listed_with_what_they_have_left(twin: str, url: str) -> None:
    service = f"listed, {twin}"
    for number in range(7):
        client.log(url, f"listed {number}", service=service)
    client.log(url, "a rate", service=f"only a rate, {twin}")
    client.log(url, "a budget", service=f"only a budget, {twin}")
    shows(url, service, (6, 1, 4, 0, 2, 0))
    shows(url, f"only a rate, {twin}", (1, 0, 0, BURST - 1, 0, None))
    shows(url, f"only a budget, {twin}", (1, 0, 0, None, 1, BUDGET - 1))


def test_who_sent_most_is_the_first(twin: str, url: str) -> None:
    """What was refused is sent, too."""
    client.log(url, "one", service=f"one, {twin}")
    used_up(url, f"most, {twin}")
    client.eventually(lambda: {f"one, {twin}", f"most, {twin}"} <= set(numbers(url)), "both are listed")
    sent = [(-each["events"] - each["throttled"], each["service"]) for each in listed(url)]
    assert sent == sorted(sent)


def test_where_the_rates_are_decided_is_told_by_the_async_twin(twin: str, url: str) -> None:
    data = client.get(url, SERVICES).json["data"]
    assert data.get("mode") == ("redis" if twin == ASYNC else None)
    assert ("mode" in data) is (twin == ASYNC)


def test_services_that_look_alike_are_kept_apart(limited: Stack, twin: str, url: str) -> None:
    limited.reset()  # the twins share their tables
    for name in HOSTILE:
        answers = [client.log(url, f"{number}", service=name) for number in range(BURST + 1)]
        assert [told(answer) for answer in answers[:-1]] == [kept(twin)] * BUDGET + ["folded"], name
        assert answers[-1].status == 429, name
    for name in HOSTILE:
        rest = client.issue(url, fingerprint(OVERFLOW, name))
        assert (rest.service, rest.times_seen) == (name, 1), name
        assert client.issue(url, fingerprint("1", name)).times_seen == 1, name
    for name in HOSTILE:
        shows(url, name, (BURST, 1, 1, 0, BUDGET, 0))


def test_who_invents_services_gets_no_more_than_one(twin: str, url: str) -> None:
    """The last test: from now on both remember as many as they can."""

    def send(service: str) -> int:
        return client.log(url, "invented", service=service).status

    names = [f"invented {number}, {twin}" for number in range(MAX_SERVICES + BURST)]
    with ThreadPoolExecutor(16) as pool:
        statuses = Counter(pool.map(send, names))
    assert set(statuses) <= {200, 429}
    assert statuses[200] <= MAX_SERVICES + BURST
    assert {send(f"one more {number}, {twin}") for number in range(10)} == {429}
    assert send(names[0]) == 200
    assert told(client.log(url, "named", service=f"free, {twin}")) == kept(twin)
    assert told(client.log(url, "invented", service=f"new, {twin}")) in (kept(twin), "folded")
    assert len(listed(url)) <= MAX_SERVICES
