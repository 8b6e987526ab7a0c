"""Every other route: its answer, its errors, its methods."""

import pytest

from loadtests.trial.cases import BAD_QUERIES, READ_PATHS, UNKNOWN_PATHS, WRONG_METHODS
from shared.answer import Success
from shared.event import MAX_BODY
from shared.fingerprint import fingerprint
from shared.health import Health, Ready
from shared.listing import IssueView, Page
from shared.services import Services
from tests import client
from tests.contract.test_log import check_failure, check_timestamp


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
def test_an_unknown_path_is_not_found(twin_url: str, path: str) -> None:
    check_failure(client.get(twin_url, path), 404)


@pytest.mark.parametrize(("path", "method", "allowed"), WRONG_METHODS)
def test_a_wrong_method_is_told_the_right_ones(
    twin_url: str, path: str, method: str, allowed: set[str]
) -> None:
    answer = client.send(twin_url, method, path)
    assert answer.status == 405
    assert set(answer.headers["Allow"].split(", ")) == allowed
    if method != "HEAD":
        check_failure(answer, 405)


@pytest.mark.parametrize("path", READ_PATHS)
def test_head_is_get_without_the_body(twin_url: str, path: str) -> None:
    got, asked = client.get(twin_url, path), client.send(twin_url, "HEAD", path, headers={})
    assert asked.status == got.status
    assert asked.headers["Content-Type"] == got.headers["Content-Type"]
    assert asked.body == b""


def test_health(twin_url: str, async_url: str) -> None:
    answer = client.get(twin_url, client.HEALTH)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    health = Success[Health].model_validate_json(answer.body, strict=True)
    check_timestamp(health.timestamp)
    assert health.data.status == "up"
    assert health.data.dependencies.mysql.state == "up"
    assert health.data.dependencies.mysql.pool.size == 30
    data = answer.json["data"]
    if twin_url == async_url:
        assert data["dependencies"]["redis"] == {"state": "up"}
        assert data["flush_age_seconds"] >= 0
        assert data["queue_age_seconds"] >= 0
    else:
        assert set(data) == {"status", "dependencies"}
        assert set(data["dependencies"]) == {"mysql"}


def test_ready(twin_url: str) -> None:
    answer = client.get(twin_url, client.READY)
    assert answer.status == 200
    check_timestamp(Success[Ready].model_validate_json(answer.body, strict=True).timestamp)


def test_one_issue(twin_url: str, async_url: str) -> None:
    message = f"one issue for {twin_url}"
    client.log(twin_url, message, stackTrace="at main", service="shop")
    key = fingerprint(message, "shop")
    client.issue(twin_url, key)
    answer = client.get(twin_url, f"{client.ERRORS}/{key}")
    assert answer.headers["Content-Type"] == "application/json"
    issue = Success[IssueView].model_validate_json(answer.body, strict=True).data
    assert (issue.fingerprint, issue.service, issue.message) == (key, "shop", message)
    assert (issue.stackTrace, issue.times_seen) == ("at main", 1)
    assert ("pending" in answer.json["data"]) is (twin_url == async_url)
    check_timestamp(issue.first_seen)
    check_timestamp(issue.last_seen)


def test_an_unknown_fingerprint_is_not_found(twin_url: str) -> None:
    failure = check_failure(client.get(twin_url, f"{client.ERRORS}/{'0' * 64}"), 404)
    assert failure.message == "There is no issue with this fingerprint"


def test_the_list(twin_url: str, async_url: str) -> None:
    message = f"listed for {twin_url}"
    client.log(twin_url, message)
    client.issue(twin_url, fingerprint(message))
    answer = client.get(twin_url, client.ERRORS)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    page = Success[Page].model_validate_json(answer.body, strict=True)
    check_timestamp(page.timestamp)
    assert page.data.issues[0].message == message
    assert len(page.data.issues) <= 20
    assert ("pending" in answer.json["data"]["issues"][0]) is (twin_url == async_url)


@pytest.mark.parametrize(("query", "parameter"), BAD_QUERIES.items())
def test_a_bad_query_is_refused_and_the_parameter_named(twin_url: str, query: str, parameter: str) -> None:
    failure = check_failure(client.get(twin_url, f"{client.ERRORS}?{query}"), 400)
    assert [problem.field for problem in failure.errors] == [parameter]


def test_no_service_is_listed_where_none_has_a_limit(twin_url: str) -> None:
    client.log(twin_url, "as much as it likes", service="unlimited")
    answer = client.get(twin_url, "/api/v1/services")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    services = Success[Services].model_validate_json(answer.body, strict=True)
    check_timestamp(services.timestamp)
    assert services.data.services == []


def test_a_body_where_none_is_expected_does_no_harm(twin_url: str) -> None:
    answer = client.send(twin_url, "GET", client.HEALTH, b"x" * MAX_BODY)
    assert answer.status == 200
