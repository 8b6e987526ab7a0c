"""The JSON Schema of results.json; `python -m loadtests.analysis.schema` writes it beside the results."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from loadtests.analysis.results import RESULTS, Results
from loadtests.load.files import write_json

SCHEMA = RESULTS / "schema.json"


def schema() -> dict[str, Any]:
    """Return the schema, draft 2020-12."""
    about = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "results.json of one run",
    }
    return TypeAdapter(Results).json_schema() | about


def check(results: Any) -> None:
    """Raise ValueError, naming each field that is wrong, where `results` have not the published shape."""
    try:
        TypeAdapter(Results).validate_python(results, strict=True)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ValueError(f"not the shape of results.json: {wrong}") from error


if __name__ == "__main__":
    write_json(SCHEMA, schema())
