"""The OpenAPI document: the same from both twins, up to date, and true."""

import json
import re
import subprocess
import sysconfig
from pathlib import Path

from tests import client

DOCUMENT = Path(__file__).parent.parent.parent / "shared" / "openapi.json"
CONTRACT = Path(__file__).parent.parent.parent / "docs" / "contract.md"
SCHEMATHESIS = Path(sysconfig.get_path("scripts")) / "schemathesis"
CONFIG = Path(__file__).parent.parent / "schemathesis.toml"


def test_the_file_is_what_fastapi_generates(async_url: str) -> None:
    served = client.get(async_url, "/openapi.json")
    assert served.json == json.loads(DOCUMENT.read_text()), "shared/openapi.json is old: `make openapi`"


def test_both_twins_serve_it(naive_url: str, async_url: str) -> None:
    naive, async_ = client.get(naive_url, "/openapi.json"), client.get(async_url, "/openapi.json")
    assert naive.headers["Content-Type"] == async_.headers["Content-Type"] == "application/json"
    assert naive.json == async_.json


def test_it_has_every_route() -> None:
    routes = {
        (path, method)
        for path, operations in json.loads(DOCUMENT.read_text())["paths"].items()
        for method in operations
    }
    assert routes == {
        ("/api/v1/errors/log", "post"),
        ("/api/v1/errors", "get"),
        ("/api/v1/errors/{fingerprint}", "get"),
        ("/api/v1/services", "get"),
        ("/api/v1/health", "get"),
        ("/api/v1/ready", "get"),
        ("/metrics", "get"),
    }


def test_it_has_no_status_that_the_contract_has_not() -> None:
    table = re.findall(r"^\| (\d{3}) \|", CONTRACT.read_text(), re.M)
    operations = [o for path in json.loads(DOCUMENT.read_text())["paths"].values() for o in path.values()]
    assert {status for operation in operations for status in operation["responses"]} <= {"200", *table}


def test_the_async_twin_has_a_page_to_try_it_out(async_url: str) -> None:
    answer = client.get(async_url, "/docs")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert b"/openapi.json" in answer.body


def test_that_page_needs_no_other_server(async_url: str) -> None:
    page = client.get(async_url, "/docs").body.decode()
    assert "://" not in page
    needed = set(re.findall(r'(?:src|href)="([^"]+)"', page))
    assert len(needed) == 3
    for path in needed:
        answer = client.get(async_url, path)
        assert answer.status == 200
        assert answer.body
    assert client.get(async_url, "/docs/other.js").status == 404
    assert client.get(async_url, "/redoc").status == 404


def test_schemathesis_finds_nothing(twin_url: str, tmp_path: Path) -> None:
    """Every check it has: what the document allows is taken, what it forbids refused, each as it says."""
    found = subprocess.run(
        [SCHEMATHESIS, "--config-file", CONFIG, "--no-color", "run", f"{twin_url}/openapi.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "Tested: 7" in found.stdout
