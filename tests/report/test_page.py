"""report.html in a real headless Chromium without a network: drawn, readable, usable, and true."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from loadtests.analysis.results import FILE, RESULTS, Results
from loadtests.load.measured import Level
from loadtests.load.subjects import SUBJECTS
from loadtests.report import page as report
from loadtests.report.page.facts import facts
from loadtests.report.page.parts import Panel
from tests.browser import chromium
from tests.samples import full, level, other, results, trial

HOSTILE = "</script><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">"
PANELS = (
    *("latency-ramp", "latency-spike", "ratio-ramp", "ratio-spike", "ratio-knee", "timeline", "curve"),
    *("rate-ramp", "rate-spike", "offered-knee", "failures", "where", "cpu", "freshness"),
)
OpenReport = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@cache
def rendered(made: str) -> str:
    return report.render(json.loads(made))


@contextmanager
def reports(browser: Browser, folder: Path) -> Iterator[OpenReport]:
    """Writes and opens reports; fails at the end for any message on the console and any other request."""
    told: list[str] = []
    context = browser.new_context(offline=True)
    context.set_default_timeout(120_000)  # milliseconds; to draw takes a busy machine its time
    file = folder / "report.html"

    def open_it(shown: Results, width: int = 1280, dark: bool = False) -> Page:
        file.write_text(rendered(json.dumps(shown)))
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: told.append(request.url) if request.url != file.as_uri() else None)
        page.goto(file.as_uri())
        wait_until_drawn(page)
        return page

    yield open_it
    context.close()
    assert told == []


@pytest.fixture
def open_report(browser: Browser, tmp_path: Path) -> Iterator[OpenReport]:
    with reports(browser, tmp_path) as open_it:
        yield open_it


@pytest.fixture(scope="module")
def page_of_everything(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """For tests that only read it, as `page_of_twins`: to draw one takes seconds."""
    with reports(browser, tmp_path_factory.mktemp("everything")) as open_it:
        yield open_it(everything())


@pytest.fixture(scope="module")
def page_of_twins(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with reports(browser, tmp_path_factory.mktemp("twins")) as open_it:
        yield open_it(full(6))


def wait_until_drawn(page: Page) -> None:
    page.wait_for_selector(".chart:not(:has(svg))", state="detached")


def everything() -> Results:
    """A result with all there is to show: three profiles, failures, losses, and a third implementation."""
    made = full(6)
    made["trials"] += [other(each) for each in made["trials"] if each["twin"] == "naive_sync"]
    for each in made["trials"]:
        if each["twin"] == "naive_sync":
            each["levels"][-1]["failed"] = {"500": 12, "timeout": 3}
    return made


def panels_of(page: Page) -> dict[str, Panel]:
    found: dict[str, Panel] = json.loads(page.locator("#panels").text_content() or "")
    return found


def drawn(page: Page, name: str) -> list[list[dict[str, Any]]]:
    """Return the series of each chart of a panel, as the library holds them."""
    charts: list[list[dict[str, Any]]] = page.evaluate(
        """name => [...document.querySelectorAll(`[data-panel="${name}"] .chart`)].map(
             chart => echarts.getInstanceByDom(chart).getOption().series.filter(each => each.name))""",
        name,
    )
    return charts


def paths(page: Page, name: str, colour: str) -> int:
    return page.locator(f'[data-panel="{name}"] svg path[stroke="{colour}"]').count()


def test_every_section_is_drawn_with_its_data(page_of_everything: Page) -> None:
    page = page_of_everything
    panels = panels_of(page)
    assert set(panels) == set(PANELS)
    for name, panel in panels.items():
        view = panel["views"][panel["default"]]
        shown = drawn(page, name)
        assert shown, name
        for chart, series in zip(
            [c for c in view["charts"] if report.parts.has_values(c)], shown, strict=True
        ):
            assert [each["name"] for each in series] == [each["name"] for each in chart["series"]]
            assert any(each["data"] for each in series)
        assert page.locator(f'[data-panel="{name}"] svg path').count() > len(shown), name


def test_the_curves_are_in_the_picture(page_of_everything: Page) -> None:
    """What the library was told is not yet what it drew."""
    page = page_of_everything
    for name in ("latency-ramp", "timeline", "curve", "rate-ramp", "offered-knee"):
        for colour in ("#d55e00", "#0072b2", "#009e73"):
            assert paths(page, name, colour) >= len(drawn(page, name)), (name, colour)
    fills = page.locator('[data-panel="cpu"] svg path[fill="#e69f00"]').count()
    assert fills >= 2, "a bar for each twin"


def test_the_figures_are_those_of_the_results(open_report: OpenReport) -> None:
    page = open_report(
        results(
            [trial(n, t, p) for n in (1, 2) for t, p in (("naive_sync", 30.0 * n), ("async_dedup", 10.0))]
        )
    )
    ((naive, async_, floor), _) = drawn(page, "latency-ramp")
    assert [each["data"] for each in (naive, async_, floor)] == [[[0, 45]], [[0, 10]], [[0, 1.5]]]
    page.get_by_text("p95 in figures").first.click()
    row = page.locator('[data-panel="latency-ramp"] table').first.locator("tbody tr")
    assert row.all_inner_texts() == ["10 users\t45 (30 to 60)\t10\t1.5"]
    assert "2 pairs, too few for an interval" in page.locator("#ratio").locator("..").inner_text()


def test_six_pairs_have_an_interval(page_of_twins: Page) -> None:
    text = page_of_twins.locator(".facts").inner_text()
    assert "97% interval" in text
    assert "p95 ratio, 500 users" in text


@pytest.mark.parametrize("width", [320, 390, 1920])
def test_nothing_is_wider_than_the_screen(open_report: OpenReport, width: int) -> None:
    page = open_report(everything(), width)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") >= 16
    wide = page.evaluate("[...document.querySelectorAll('.chart')].every(c => c.scrollWidth <= innerWidth)")
    assert wide


@pytest.mark.parametrize("width", [390, 1300])
def test_every_table_is_whole_or_says_that_more_follows(open_report: OpenReport, width: int) -> None:
    made = everything()
    line = made["trials"][0]["timeline"]
    assert line
    for name in ("users", "acknowledged", "failed", "p50_ms", "p95_ms"):
        line[name] *= 20
    page = open_report(made, width)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    hidden = page.evaluate(
        """[...document.querySelectorAll(".wide:not(.tall)")].filter(
             each => each.scrollHeight > each.clientHeight + 1 || each.scrollWidth > each.clientWidth + 1
           ).map(each => each.ariaLabel)"""
    )
    assert hidden == []
    tall = page.locator(".tall").all()
    assert tall
    for each in tall:
        assert re.fullmatch(r"\d+ rows: scroll in the table.", each.locator("..").locator("p").inner_text())


def test_on_a_phone_each_value_of_a_row_is_in_sight_with_its_name(open_report: OpenReport) -> None:
    page = open_report(full(6), 390)
    row = page.locator("section:has(#ratio) > .wide tbody tr").first
    for cell in row.locator("td").all():
        box = cell.bounding_box()
        assert box is None or box["x"] + box["width"] <= 390
    names = row.locator("td").evaluate_all("all => all.map(td => getComputedStyle(td, '::before').content)")
    assert "p95 ratio" in names[2]


def test_the_contents_are_at_hand_everywhere(open_report: OpenReport) -> None:
    page = open_report(full(6), 390)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    link = page.get_by_role("link", name="Contents", exact=True)
    expect(link).to_be_in_viewport()
    link.click()
    expect(page.locator("#contents a").first).to_be_in_viewport()


def test_ticks_are_round_and_a_log_scale_says_so(open_report: OpenReport) -> None:
    made = full(6)
    for each in made["trials"]:
        for one in each["levels"] if each["profile"] == "knee" else []:
            one["offered_rps"] = (one["offered_rps"] or 0.0) * 1.0286
    page = open_report(made)
    captions = page.locator("figcaption").all_inner_texts()
    assert {"p95, ms, logarithmic", "p95 ratio, times, logarithmic", "mean request, ms"} <= {*captions}
    texts = page.locator(
        "[data-panel=offered-knee] svg text, [data-panel=timeline] svg text"
    ).all_text_contents()
    numbers = [text for text in texts if re.fullmatch(r"[\d.,]+", text)]
    assert numbers
    assert [
        text for text in numbers if not re.fullmatch(r"[1-9]?[05]|[1-9]0*|0\.0*\d", text.replace(",", ""))
    ] == []
    assert "offered per second, logarithmic" in texts


@pytest.mark.parametrize("width", [390, 1300])
def test_no_word_is_broken(open_report: OpenReport, width: int) -> None:
    page = open_report(full(6), width)
    words = " ".join(page.locator(".chart svg text").all_text_contents()).split()
    known = {"answered", "row", "counted", "users", "before", "after", "MySQL", "in"}
    assert known <= {*words}
    assert not {
        word for word in words if any(name.startswith(word) for name in known - {word}) and len(word) > 1
    }


def test_a_tooltip_is_dark_in_the_dark_with_unit_and_range(open_report: OpenReport) -> None:
    page = open_report(full(6), dark=True)
    chart = page.locator('[data-panel="latency-ramp"] .chart').first
    chart.hover()
    tip = chart.locator(".tooltip")
    expect(tip).to_contain_text("100 users")
    expect(tip.locator("tr").first).to_have_text("naive_sync60 ms (57.6 to 62.4)")
    colour = tip.locator("..").evaluate("each => getComputedStyle(each).backgroundColor")
    assert colour == "rgb(22, 27, 34)"


def test_a_line_can_be_put_away(open_report: OpenReport) -> None:
    page = open_report(full(6))
    chart = page.locator('[data-panel="latency-ramp"] .chart').first
    line = chart.locator('path[stroke="#d55e00"]')
    shown = line.count()
    chart.locator("text", has_text="naive_sync").click()
    expect(line).not_to_have_count(shown)
    page.set_viewport_size({"width": 900, "height": 900})
    selected = chart.evaluate(
        "each => echarts.getInstanceByDom(each).getOption().legend[0].selected.naive_sync"
    )
    assert selected is False, "also after it was drawn again"


def test_a_chart_follows_the_size_of_the_screen(open_report: OpenReport) -> None:
    page = open_report(full(6), 1280)
    page.set_viewport_size({"width": 390, "height": 900})
    width = str(page.locator(".chart").first.evaluate("chart => chart.clientWidth"))
    assert int(width) < 390
    expect(page.locator(".chart svg").first).to_have_attribute("width", width)


def test_the_keyboard_is_enough(open_report: OpenReport) -> None:
    page = open_report(everything())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached = set()
    for _ in range(page.locator("a, select, summary, .wide").count()):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.tagName + document.activeElement.id"))
        if page.evaluate("document.activeElement.id") == "curve-view":
            break
    assert {"SELECTtimeline-view", "SELECTcurve-view", "SUMMARY", "DIV"} <= reached
    before = drawn(page, "curve")
    page.keyboard.press("ArrowUp")
    wait_until_drawn(page)
    assert drawn(page, "curve") != before
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator('[data-panel="curve"] details[open] table').count() == 1


def test_another_level_is_drawn_and_its_table_stays_open(open_report: OpenReport) -> None:
    page = open_report(everything())
    panel = panels_of(page)["curve"]
    page.locator('[data-panel="curve"] summary').click()
    for index, view in enumerate(panel["views"]):
        page.locator("#curve-view").select_option(index=index)
        wait_until_drawn(page)
        ((first, *_),) = drawn(page, "curve")
        assert first["data"][0] == [1, view["charts"][0]["series"][0]["values"][0]]
        assert page.locator('[data-panel="curve"] details[open]').count() == 1


def test_it_begins_with_the_pair_nearest_to_the_median(open_report: OpenReport) -> None:
    pairs = {1: 20.0, 2: 30.0, 3: 90.0}
    page = open_report(
        results(
            [
                trial(n, t, p if t == "naive_sync" else 10.0)
                for n, p in pairs.items()
                for t in ("naive_sync", "async_dedup")
            ]
        )
    )
    assert page.locator("#timeline-view").evaluate("s => s.selectedOptions[0].text") == "ramp, pair 2"


def test_who_cannot_see_it_gets_names_and_an_order(page_of_everything: Page) -> None:
    page = page_of_everything
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.title().strip()
    assert page.locator("main").count() == page.locator("h1").count() == 1
    levels = [
        int(each[1])
        for each in page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => h.tagName)")
    ]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    names = page.evaluate(
        "[...document.querySelectorAll('[role=img]')].map(e => e.getAttribute('aria-label'))"
    )
    assert names
    assert all(names)
    assert page.evaluate("[...document.querySelectorAll('svg')].every(s => s.closest('[role=img]'))")
    assert page.evaluate("[...document.querySelectorAll('select')].every(s => s.labels.length === 1)")
    assert page.evaluate(
        "[...document.querySelectorAll('.wide')].every(w => w.tabIndex === 0 && w.ariaLabel)"
    )
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    links = page.evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href').slice(1))")
    assert set(links) <= set(ids)


def test_no_colour_alone(page_of_everything: Page) -> None:
    """Each subject has a line and a symbol of its own, each part of a bar a pattern."""
    page = page_of_everything
    for name in ("latency-ramp", "offered-knee"):
        lines = [(str(each["lineStyle"]["type"]), each["symbol"]) for each in drawn(page, name)[0]]
        assert len(set(lines)) == len(lines)
    assert page.locator('[data-panel="cpu"] svg pattern').count() >= 3


def test_text_can_be_read_in_the_dark(open_report: OpenReport) -> None:
    page = open_report(full(6), dark=True)
    fills = page.evaluate(
        "[...new Set([...document.querySelectorAll('.chart text')].map(t => getComputedStyle(t).fill))]"
    )
    assert fills == ["rgb(230, 237, 243)"]


def test_nothing_valid_is_said_and_shown(open_report: OpenReport) -> None:
    made = full(6)
    for each in made["trials"]:
        each["valid"], each["invalid_reasons"] = False, ["died or restarted: worker"]
    made |= {"comparison": [], "control": [], "capacity": [], "floor": [], "floor_knee": None}
    page = open_report(made)
    assert "Nothing valid to compare" in page.locator(".verdict").inner_text()
    assert page.get_by_text("died or restarted: worker").count() == len(made["trials"])
    assert set(panels_of(page)) == {"timeline"}
    assert page.get_by_text("No trial is valid").count() == 1
    assert page.get_by_text("No request failed").count() == 0
    assert "not valid: naive_sync, async_dedup" in page.locator("#timeline-view").inner_text()


def test_no_trial_at_all_is_a_page_too(open_report: OpenReport) -> None:
    page = open_report(results([]) | {"floor": []})
    assert page.locator("#environment").count() == 1


def test_one_twin_alone_is_shown(open_report: OpenReport) -> None:
    page = open_report(results([trial(1, "async_dedup", 10.0)]))
    assert [each["name"] for each in drawn(page, "latency-ramp")[0]] == ["async_dedup", "floor"]
    assert "ratio" not in {section.get_attribute("id") for section in page.locator("h2").all()}


def test_a_third_implementation_of_which_less_is_known(open_report: OpenReport) -> None:
    twins = [trial(1, "naive_sync", 30.0), trial(1, "async_dedup", 10.0)]
    page = open_report(results([*twins, other(twins[0])]))
    assert [each["name"] for each in drawn(page, "latency-ramp")[0]][1] == "other"
    assert page.locator("#cpu").count() == 1


def test_ratios_of_too_few_requests_are_one_sentence(page_of_twins: Page) -> None:
    text = page_of_twins.locator("#ratio").locator("..").inner_text()
    assert "Too few requests for a ratio: naive_sync\xa0/\xa0async_dedup at 10 users before." in text
    assert "10 users before\t" not in text


def rungs() -> Results:
    """Everyone who can be measured, in two pairs."""
    return results([trial(n, name, 30.0 / rank) for n in (1, 2) for rank, name in enumerate(SUBJECTS, 1)])


def test_whoever_can_run_is_drawn_in_a_style_of_its_own(open_report: OpenReport) -> None:
    page = open_report(rungs())
    lines = drawn(page, "latency-ramp")[0]
    assert [each["name"] for each in lines] == [*SUBJECTS, "floor"]
    assert [each["color"] for each in lines[:-1]] == [each.style.color for each in SUBJECTS.values()]
    assert len({(str(each["lineStyle"]["type"]), each["symbol"]) for each in lines}) == len(lines)
    compared = [each["name"] for each in drawn(page, "ratio-ramp")[0]]
    assert "naive_sync / upsert" in compared
    assert "naive_sync / async_dedup" in compared


def test_two_rungs_alone_are_a_result_without_an_empty_column(open_report: OpenReport) -> None:
    made = results(
        [trial(n, name, p95) for n in (1, 2) for name, p95 in (("naive_sync", 30.0), ("upsert", 20.0))]
    )
    page = open_report(made)
    assert "20.0 ms with upsert: 1.50 times as long" in page.locator(".verdict").inner_text()
    assert drawn(page, "ratio-ramp")[0][0]["name"] == "naive_sync / upsert"
    empty = page.evaluate(
        """[...document.querySelectorAll("table")].filter(table => [...table.rows[0].cells].some(
             (_, i) => [...table.rows].slice(1).every(row => ["", "-"].includes(row.cells[i].textContent))))
           .map(table => table.textContent)"""
    )
    assert [each for each in empty if "left out" not in each] == []


def test_the_first_figures_are_of_the_first_and_the_last() -> None:
    found = {each.name: each.value for each in facts(results(everything()["trials"]))}
    assert found["ratio of the knees"] == "4.00", "not that of naive_sync and other, which are alike"


def test_of_whom_nothing_is_known_a_line_is_drawn(
    open_report: OpenReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "for_scripts", dict)
    rendered.cache_clear()
    page = open_report(full(1))
    assert len(drawn(page, "latency-ramp")[0]) == 3
    assert page.locator(".failed").count() == 0
    rendered.cache_clear()


@pytest.mark.parametrize(
    "broken",
    [
        "panel => { panel.views[0].charts[0].y = null }",
        "panel => { panel.views[0].charts[0].series[0].values = null }",
    ],
)
def test_a_chart_that_fails_is_seen_and_stops_no_other(browser: Browser, tmp_path: Path, broken: str) -> None:
    text = rendered(json.dumps(full(1))).replace(
        'const panels = JSON.parse(document.getElementById("panels").textContent);',
        'const panels = JSON.parse(document.getElementById("panels").textContent);'
        f'({broken})(panels["rate-ramp"]);',
    )
    file = tmp_path / "report.html"
    file.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text))
    page = browser.new_page()
    page.goto(file.as_uri())
    wait_until_drawn(page)
    failed = page.locator(".failed")
    assert failed.count() == page.locator('[data-panel="rate-ramp"] .failed').count() == 1
    assert "This chart could not be drawn" in failed.inner_text()
    assert page.locator(".chart:has(svg)").count() == charts_of(full(1)) - 1
    page.close()


def charts_of(results: Results) -> int:
    """Return how many charts a page shows at first."""
    panels = [part for each in report.sections(results) for part in each["parts"] if part["kind"] == "panel"]
    return sum(
        report.parts.has_values(c) for each in panels for c in each["views"][each["default"]]["charts"]
    )


PUBLISHED = sorted(RESULTS.rglob(report.FILE))


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.parent.name)
def test_every_published_page_is_drawn_as_its_results_are(browser: Browser, path: Path) -> None:
    made = json.loads(path.with_name(FILE).read_text())
    assert path.read_text() == report.render(made), "run `make report`"
    told: list[str] = []
    page = browser.new_page()
    page.on("pageerror", lambda error: told.append(str(error)))
    page.goto(path.as_uri())
    wait_until_drawn(page)
    with_data = page.evaluate(
        """[...document.querySelectorAll(".chart")].filter(
             chart => echarts.getInstanceByDom(chart).getOption().series.some(
               each => each.data.some(point => (point?.[1] ?? point) !== null))).length"""
    )
    assert with_data == charts_of(made) > 0
    assert (told, page.locator(".failed").count()) == ([], 0)
    page.close()


def test_there_are_published_pages_of_twins_and_of_the_ladder() -> None:
    assert {path.parent.parent.name for path in PUBLISHED} == {"results", "ladder"}


def smoke() -> Results:
    trials = [trial(1, "naive_sync", 30.0, profile="smoke"), trial(1, "async_dedup", 10.0, profile="smoke")]
    for each in trials:
        each["levels"] = [
            level(20, 30.0 if each["twin"] == "naive_sync" else 10.0, profile="smoke", acknowledged=90)
        ]
    return results(trials) | {"profile": "smoke"}


def test_a_smoke_run_has_figures_that_are_for_a_look_only(open_report: OpenReport) -> None:
    page = open_report(smoke())
    assert "At 20 users p95 is 30.0 ms with naive_sync and 10.0 ms with async_dedup: few requests" in (
        page.locator(".verdict").inner_text()
    )
    (ratio,) = [each for each in page.locator(".facts div").all_inner_texts() if each.startswith("p95 ratio")]
    assert ratio.split("\n") == ["p95 ratio, 20 users", "3.00", "few requests, for a look only"]
    titles = page.locator('[data-panel="latency-smoke"] figcaption').all_inner_texts()
    assert titles == [f"{name}, few requests, for a look only, ms, logarithmic" for name in ("p95", "p99")]
    assert drawn(page, "latency-smoke")[0][0]["data"] == [[0, 30]]


def test_where_the_failures_fell_is_told(open_report: OpenReport) -> None:
    made = full(6)
    naive = made["trials"][0]
    naive["failed"] = {"500": 4, "timeout": 2}
    naive["levels"][0]["failed"] = {"500": 3}
    naive["levels"][0]["valid"] = False
    page = open_report(made)
    section = page.locator("#failures").locator("..")
    assert "No request failed in any valid level." in section.inner_text()
    assert section.locator("tbody tr").all_inner_texts() == ["naive_sync\t0\t3 x 500\t1 x 500, 2 x timeout"]


def test_too_few_requests_are_no_figure(open_report: OpenReport) -> None:
    trials = [trial(1, "naive_sync", 30.0), trial(1, "async_dedup", 10.0)]
    trials[0]["levels"] = [_small()]
    page = open_report(results(trials))
    page.get_by_text("p95 in figures").first.click()
    text = page.locator('[data-panel="latency-ramp"] tbody').first.inner_text()
    assert text == "10 users\t-\t10\t1.5"
    assert "too few requests" in page.locator("#ratio").locator("..").inner_text()


def _small() -> Level:
    return level(10, 30.0, acknowledged=1_999)


def test_missing_values_leave_gaps(open_report: OpenReport) -> None:
    made = full(6)
    for each in made["trials"]:
        each["freshness_ms"], each["counted_ms"], each["mean_ms"] = {}, {}, {}
        each["cpu_seconds"] = {}
    assert {"where", "cpu"}.isdisjoint(panels_of(open_report(made)))


def test_a_run_without_failures_says_so(page_of_twins: Page) -> None:
    assert page_of_twins.get_by_text("No request failed in any valid level.").count() == 1


def test_hostile_words_stay_words(open_report: OpenReport) -> None:
    made = everything()
    made["run"] = made["command"] = made["environment"]["cpu"] = HOSTILE
    for each in made["trials"]:
        each["invalid_reasons"] = [HOSTILE]
        each["levels"][0]["failed"] = {HOSTILE: 3}
        each["cpu_seconds"][HOSTILE] = 1.0
        for one in each["levels"]:
            one["name"] += HOSTILE
    page = open_report(made)
    page.locator("#failures-view").select_option(index=1)
    page.locator('[data-panel="failures"] .chart').hover()
    assert "broken" not in page.evaluate("document.title.replace(/<.*>/s, '')")
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2 + len(report.SCRIPTS)


def test_paper_has_no_controls(open_report: OpenReport) -> None:
    page = open_report(full(6))
    page.emulate_media(media="print")
    assert page.locator("nav").is_hidden()
    assert page.locator("#curve-view").is_hidden()
    assert page.locator('[data-panel="latency-ramp"] svg').first.is_visible()


def test_the_same_results_give_the_same_page() -> None:
    made = full(6)
    assert report.render(made) == report.render(json.loads(json.dumps(made)))


def test_the_page_holds_no_raw_data() -> None:
    text = rendered(json.dumps(everything()))
    library = (report.HERE / "vendor" / "echarts.common.min.js").read_text()
    assert len(text) - len(library) < 400_000
    assert everything()["trials"][0]["levels"][0]["histogram"] not in text


def test_the_library_is_the_one_that_was_published() -> None:
    vendor = report.HERE / "vendor"
    told = re.search(r"dist/(\S+), SHA-256 ([0-9a-f]{64})", (vendor / "VERSION").read_text())
    assert told is not None
    assert hashlib.sha256((vendor / told[1]).read_bytes()).hexdigest() == told[2]
    assert {"LICENSE", "NOTICE"} <= {file.name for file in vendor.iterdir()}
