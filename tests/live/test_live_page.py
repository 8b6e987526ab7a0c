"""The live page in a real headless Chromium, with samples of real twins: drawn, readable, and true."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from loadtests.live.charts import Point
from loadtests.live.feed import Feed
from loadtests.live.sampler import Sample, Sampler
from loadtests.live.server import FILES, serve
from loadtests.load.progress import PROGRESS, result_line
from loadtests.load.subjects import SUBJECTS
from loadtests.stack import Stack
from shared.fingerprint import fingerprint
from tests import client
from tests.browser import chromium
from tests.live.test_live import LINE

DRAWN = {
    "p95": {"naive_sync", "async_dedup", "async_dedup, client"},
    "rates": {"naive_sync", "async_dedup", "users"},
    "failed": {"naive_sync refused 400", "async_dedup refused 400"},
    "queue": {"first events waiting", "fingerprints not flushed"},
    "freshness": {"oldest first event waiting", "event to row, p95", "since the last flush"},
}
REFUSED = "ERR_CONNECTION_REFUSED"
"""Chromium's own words where the server has gone."""
OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def samples(stack: Stack, naive_url: str, async_url: str) -> list[Sample]:
    """What was seen while both twins were sent a few events, good and bad."""
    progress = stack.run_dir / PROGRESS
    progress.unlink(missing_ok=True)
    sampler = Sampler(stack.run_dir, stack.settings, os.getpid())
    taken = [sampler.sample()]
    for step in range(3):
        with progress.open("a") as file:
            file.write(json.dumps(LINE | {"target": async_url}) + "\n")
        for url in (naive_url, async_url):
            client.post(url, b"not JSON")
            client.log(url, f"live page {step} {url}")
        client.issue(async_url, fingerprint(f"live page {step} {async_url}"))
        taken.append(sampler.sample())
    progress.unlink()
    return taken


@pytest.fixture
def feed(samples: list[Sample]) -> Feed:
    filled = Feed()
    for sample in samples:
        filled.add(sample)
    return filled


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Fails the test for any message on the console, and for any request that goes elsewhere."""
    told: list[str] = []
    context = browser.new_context()

    def open_it(url: str, width: int = 1600, clock: bool = False) -> Page:
        page = context.new_page()
        if clock:
            page.clock.install()
        page.set_viewport_size({"width": width, "height": 900})
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda sent: told.append(sent.url) if not sent.url.startswith(url) else None)
        page.goto(url)
        expect(page.locator("#state")).to_have_text("Live")
        return page

    yield open_it
    context.close()
    assert [line for line in told if REFUSED not in line] == []


def drawn(page: Page, name: str) -> dict[str, list[list[float | None]]]:
    """Return the points of each line of a chart, as the library holds them."""
    lines: dict[str, list[list[float | None]]] = page.evaluate(
        """name => Object.fromEntries(echarts.getInstanceByDom(document.querySelector(`#${name} .chart`))
             .getOption().series.map(line => [line.name, line.data.map(point => point.value || point)]))""",
        name,
    )
    return lines


def between_gaps(sample: Sample) -> Sample:
    """Return one so much later that no line is drawn to it."""
    return sample | {"at": sample["at"] + 60, "charts": {"p95": {"async_dedup": 10.0}}}


def test_every_chart_is_drawn_and_fits(open_page: OpenPage, feed: Feed, samples: list[Sample]) -> None:
    with serve(0, feed, 5.0) as url:
        page = open_page(url)
        for name, lines in DRAWN.items():
            found = drawn(page, name)
            assert found.keys() == lines, name
            assert {len(points) for points in found.values()} == {len(samples)}, name
            assert all(any(y is not None for _, y in points) for points in found.values()), name
            assert page.locator(f"#{name} .legend li b").count() == len(lines)
            for width in (320, 390, 1600):
                page.set_viewport_size({"width": width, "height": 900})
                chart = page.locator(f"#{name} .chart")
                size = str(chart.evaluate("chart => chart.clientWidth"))
                expect(chart.locator("svg")).to_have_attribute("width", size)
                assert int(size) > 0.8 * min(width, 390)
                assert page.evaluate("document.documentElement.scrollWidth") <= width
        alone = page.locator('#p95 .chart path[fill="#0072b2"]')
        assert alone.count() == 0
        feed.add(between_gaps(samples[-1]))
        expect(alone).to_have_count(1)
        for name in ("p95", "rates"):
            for colour in ("#d55e00", "#0072b2"):  # those of the report
                assert page.locator(f'#{name} .chart path[stroke="{colour}"]').count() >= 1, (name, colour)


def test_figures_are_those_of_the_last_sample(open_page: OpenPage, feed: Feed, samples: list[Sample]) -> None:
    with serve(0, feed, 5.0) as url:
        page = open_page(url)
        last = json.loads(json.dumps(samples[-1]))
        last["at"] += 2
        last["charts"]["p95"]["naive_sync"] = 1234.5
        feed.add(last)
        expect(page.locator("#p95 li", has_text="1,230 ms")).to_have_count(1)
        assert drawn(page, "p95")["naive_sync"][-1] == [last["at"] * 1000, 1234.5]
        expect(page.locator("#load")).to_have_text("ramp, level 1 of 5: async_dedup, 20 users, 300 answers/s")
        page.reload()
        expect(page.locator("#p95 li", has_text="1,230 ms")).to_have_count(1)
        assert len(drawn(page, "p95")["naive_sync"]) == len(samples) + 1


def test_lost_counts_are_shown_to_the_last_event(
    open_page: OpenPage, feed: Feed, samples: list[Sample]
) -> None:
    with serve(0, feed, 5.0) as url:
        page, later = open_page(url), samples[-1]["at"] + 2
        shown = page.locator("#audits li")
        expect(shown).to_have_text("What was lost is known after the first trial, from its audit.")
        found = {"acknowledged": 135_182, "recorded": 129_398, "lost": 5_784, "extra": 0}
        feed.add(
            samples[-1] | {"at": later, "audits": {"naive_sync": found, "async_dedup": found | {"lost": 0}}}
        )
        expect(shown).to_have_text(
            [
                f"{twin} lost{lost} of 135,182 acknowledged; 129,398 recorded, 0 extra"
                for twin, lost in (("naive_sync", "5,784"), ("async_dedup", "0"))
            ]
        )
        for width in (320, 1600):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.reload()
        expect(shown).to_have_count(2)


def test_a_lost_count_of_who_promises_none_is_an_alarm(
    open_page: OpenPage, feed: Feed, samples: list[Sample]
) -> None:
    with serve(0, feed, 5.0) as url:
        page, later = open_page(url), samples[-1]["at"] + 2
        expect(page.locator("#alarm")).to_be_hidden()
        right = {"acknowledged": 1_000, "recorded": 1_000, "lost": 0, "extra": 0}
        audits = {"naive_sync": right | {"lost": 7}, "async_dedup": right}
        feed.add(samples[-1] | {"at": later, "audits": audits})
        expect(page.locator("#audits li")).to_have_count(2)
        expect(page.locator("#alarm")).to_be_hidden()
        audits["async_dedup"] = right | {"lost": 500, "extra": 3}
        feed.add(samples[-1] | {"at": later + 2, "audits": audits})
        expect(page.locator("#alarm")).to_have_text(
            "COUNTS ARE WRONG: async_dedup lost 500 and doubled 3 of 1,000 acknowledged events."
        )


def test_where_events_go_without_redis_is_told(
    open_page: OpenPage, feed: Feed, samples: list[Sample]
) -> None:
    with serve(0, feed, 5.0) as url:
        page, later = open_page(url), samples[-1]["at"] + 2
        expect(page.locator("#ingest")).to_be_hidden()
        away = {"state": "direct", "since": "2026-01-01T00:00:00.5Z", "reason": "Redis: <b>gone</b>"}
        feed.add(samples[-1] | {"at": later, "ingest": away})
        expect(page.locator("#ingest")).to_contain_text("Events go into MySQL, without Redis, since ")
        expect(page.locator("#ingest")).to_contain_text("(Redis: <b>gone</b>)")
        feed.add(samples[-1] | {"at": later + 2, "ingest": None})
        expect(page.locator("#ingest")).to_be_hidden()


def test_one_true_sentence_at_any_time(open_page: OpenPage, feed: Feed, samples: list[Sample]) -> None:
    idle = samples[-1] | {"load": None, "running": ["async_dedup"]}
    step = "ramp: pair 1 of 6, async_dedup"
    busy, quiet = ({"rates": {"async_dedup": rate}} for rate in (13.0, 0.0))
    smoke = samples[-1]["load"]
    assert smoke
    told = {
        f"{step}; async_dedup up, the generator sends nothing; 13 answers/s to probes, to others, or of a "
        "load that has just ended": idle | {"step": step, "charts": busy},
        "async_dedup up, the generator sends nothing": idle | {"charts": quiet},
        f"{step}; nobody is up, nobody is measured": idle | {"running": [], "step": step},
        "smoke, level 1 of 5: async_dedup, 20 users, 300 answers/s; few requests, for a look only": (
            idle | {"load": smoke | {"profile": "smoke"}}
        ),
    }
    with serve(0, feed, 5.0) as url:
        page, at = open_page(url), samples[-1]["at"]
        for place, (words, sample) in enumerate(told.items(), 1):
            feed.add(sample | {"at": at + 2 * place})
            expect(page.locator("#load")).to_have_text(words)


def test_at_the_end_stands_the_result_and_where_its_report_is(
    open_page: OpenPage, feed: Feed, samples: list[Sample]
) -> None:
    with serve(0, feed, 5.0) as url:
        page = open_page(url)
        result = result_line("At 500 users 155 times as long.", Path("/runs/1/report.html"))
        feed.add(samples[-1] | {"at": samples[-1]["at"] + 2, "load": None, "running": [], "result": result})
        expect(page.locator("#load code")).to_have_text("/runs/1/report.html")
    expect(page.locator("#state")).to_contain_text("The run ended at")
    expect(page.locator("#load")).to_contain_text("At 500 users 155 times as long. The report: ")


def test_a_replay_ends_without_a_report(open_page: OpenPage, feed: Feed, samples: list[Sample]) -> None:
    with serve(0, feed, 5.0) as url:
        page = open_page(url)
        feed.add(
            samples[-1] | {"at": samples[-1]["at"] + 2, "result": {"result": "The recording ends here."}}
        )
        expect(page.locator("#load")).to_have_text("The recording ends here.")


def test_a_run_that_was_cut_off_has_no_result(open_page: OpenPage, feed: Feed) -> None:
    with serve(0, feed, 5.0) as url:
        page = open_page(url)
    expect(page.locator("#load")).to_have_text("It ended without a result.")


def test_the_last_value_stays_when_a_twin_s_turn_ends(
    open_page: OpenPage, feed: Feed, samples: list[Sample]
) -> None:
    with serve(0, feed, 5.0) as url:
        page, at = open_page(url), samples[-1]["at"]
        feed.add(samples[-1] | {"at": at + 2, "charts": {"p95": {"naive_sync": 1234.5}}})
        feed.add(samples[-1] | {"at": at + 4, "charts": {"p95": {"async_dedup": 5.0}}})
        expect(page.locator("#p95 li.past", has_text="naive_sync")).to_have_text("naive_sync1,230 ms")
        expect(page.locator("#p95 li:not(.past)")).to_have_text(["async_dedup5 ms"])


def test_every_rung_is_drawn_and_who_erred_is_told_apart(
    open_page: OpenPage, feed: Feed, samples: list[Sample]
) -> None:
    kinds = ("400", "413", "415", "500", "503", "timeout", "connection")
    failures = {f"naive_sync {'refused ' if kind[0] == '4' else ''}{kind}": 1.0 for kind in kinds}
    charts: dict[str, Point] = {
        "p95": dict.fromkeys([*SUBJECTS, "nobody knows"], 5.0),
        "failed": {**failures},
    }
    with serve(0, feed, 5.0) as url:
        page = open_page(url)
        for step in (100, 102):
            feed.add(samples[-1] | {"at": samples[-1]["at"] + step, "charts": charts})
        expect(page.locator("#p95 li:not(.past)")).to_have_count(len(SUBJECTS) + 1)
        for subject in SUBJECTS.values():
            assert page.locator(f'#p95 .chart path[stroke="{subject.style.color}"]').count() >= 1
        looks = page.evaluate(
            """() => echarts.getInstanceByDom(document.querySelector("#failed .chart")).getOption().series
                 .filter(line => line.name.startsWith("naive"))
                 .map(line => [line.name, line.lineStyle.width, String(line.lineStyle.type)])"""
        )
        assert len({(width, dash) for _, width, dash in looks}) == len(looks) == len(kinds)
        assert {width for name, width, _ in looks if "refused" in name} == {1.5}
        assert {width for name, width, _ in looks if "refused" not in name} == {2.5}


def test_a_chart_that_fails_is_seen_and_stops_no_other(
    open_page: OpenPage, feed: Feed, samples: list[Sample]
) -> None:
    with serve(0, feed, 5.0) as url:
        page = open_page(url)
        page.evaluate("window.kept = CHARTS.rates; CHARTS.rates = null")
        feed.add(samples[-1] | {"at": samples[-1]["at"] + 2})
        expect(page.locator("#rates .failed")).to_contain_text("This chart could not be drawn")
        assert page.locator(".failed").count() == 1
        assert len(drawn(page, "freshness")["since the last flush"]) == len(samples) + 1
        page.evaluate("CHARTS.rates = window.kept")
        feed.add(samples[-1] | {"at": samples[-1]["at"] + 4})
        expect(page.locator(".failed")).to_have_count(0)


@pytest.mark.parametrize("seconds", [5.0, 20.0])
def test_the_flush_interval_is_that_of_the_setting(open_page: OpenPage, feed: Feed, seconds: float) -> None:
    with serve(0, feed, seconds) as url:
        expect(open_page(url).locator("#freshness .note")).to_contain_text(f"a flush every {seconds:.0f} s.")


def test_the_end_is_told_and_the_next_run_shows_by_itself(
    open_page: OpenPage, feed: Feed, samples: list[Sample]
) -> None:
    with serve(0, feed, 5.0) as url:
        page = open_page(url)
    expect(page.locator("#state")).to_contain_text("The run ended at")
    later = Feed()
    later.add(samples[-1] | {"at": samples[-1]["at"] + 60, "load": None, "running": []})
    with serve(int(url.rpartition(":")[2]), later, 5.0):
        expect(page.locator("#state")).to_have_text("Live", timeout=20_000)
        expect(page.locator("#load")).to_contain_text("nobody is measured")
        assert len(drawn(page, "rates")["naive_sync"]) == len(samples) + 2, "both runs, and a gap"


def test_a_server_that_says_nothing_is_no_live_picture(open_page: OpenPage, feed: Feed) -> None:
    with serve(0, feed, 5.0) as url:
        page = open_page(url, clock=True)
        page.clock.fast_forward(10_000)
        expect(page.locator("#state")).to_contain_text("No contact since")


def test_nothing_else_is_served(feed: Feed) -> None:
    with serve(0, feed, 5.0) as url:
        paths = ["/", *FILES]
        assert [client.get(url, path).status for path in paths] == [200] * len(paths)
        for path in ("/../server.py", "/live.html", "/events/", "//etc/passwd"):
            assert client.get(url, path).status == 404
