"""The published JSON Schema: what it says is what is written."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from loadtests.analysis.results import FILE, RESULTS
from loadtests.analysis.schema import SCHEMA, check, schema
from tests.samples import full, knee_trial, other, results, trial


@pytest.fixture(scope="module")
def published() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA.read_text()))


def test_the_published_schema_is_that_of_the_code() -> None:
    """`make schema` writes it again."""
    assert json.loads(SCHEMA.read_text()) == schema()


def test_the_published_schema_is_one(published: Draft202012Validator) -> None:
    Draft202012Validator.check_schema(published.schema)
    level = schema()["$defs"]["Level"]["properties"]
    assert "closed" in level["offered_rps"]["description"]


@pytest.mark.parametrize("path", sorted(RESULTS.glob(f"*/{FILE}")), ids=lambda path: path.parent.name)
def test_every_published_result_has_the_shape(path: Path, published: Draft202012Validator) -> None:
    published.validate(json.loads(path.read_text()))


@pytest.mark.parametrize(
    "made",
    [
        full(),
        results([]),
        results([other(trial(1, "naive_sync", 3.0)), knee_trial(1, "async_dedup", 400, 3.0)]),
    ],
)
def test_results_have_the_shape(made: Any, published: Draft202012Validator) -> None:
    check(made)
    published.validate(json.loads(json.dumps(made)))


@pytest.mark.parametrize(
    ("field", "value"),
    [("seed", "1"), ("seed", True), ("seconds", float("nan")), ("surprise", 1), ("floor", [{}])],
)
def test_another_shape_is_refused_and_the_field_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        check(results([]) | {field: value})
