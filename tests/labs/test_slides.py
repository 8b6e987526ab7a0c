"""The slides in a real headless Chromium without a network: whole, readable, true, and closed to others."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from loadtests.labs import freshness
from loadtests.labs.__main__ import LABS
from loadtests.labs.handouts import sheet, slides
from loadtests.labs.handouts.notes import notes
from loadtests.labs.progress import Progress
from tests.browser import chromium

DONE = Path(__file__).parent / "done"
"""The folder of a learner who has gone through the labs; figures rounded."""
MEASURED: dict[str, dict[str, Any]] = json.loads((DONE / "progress.json").read_text())
RESULTS = [LABS[int(lab)] for lab in MEASURED if int(lab) in LABS]
TEACHER = slides.TEACHER.read_text()
HOSTILE = (
    "</script></style><script>document.title='in'</script><img src=x onerror=\"document.title='in'\">[/red]"
)
WIDTH, HEIGHT = 1280, 720
OpenDeck = Callable[[str], Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def written(folder: Path, progress: str | bytes) -> Path:
    """Return the deck made of a progress.json that holds so much."""
    kept = folder / "progress.json"
    kept.write_bytes(progress if isinstance(progress, bytes) else progress.encode())
    assert slides.main(["--folder", str(folder)]) == 0
    return kept.with_name(slides.FILE)


@pytest.fixture
def open_deck(browser: Browser, tmp_path: Path) -> Iterator[OpenDeck]:
    """Opens what is made of a progress.json; fails for any message on the console and any other request."""
    told: list[str] = []
    context = browser.new_context(offline=True, viewport={"width": WIDTH, "height": HEIGHT})
    context.on("console", lambda message: told.append(message.text))
    context.on("weberror", lambda error: told.append(str(error.error)))
    file = tmp_path / slides.FILE
    context.on(
        "request",
        lambda sent: told.append(sent.url) if not sent.url.startswith((file.as_uri(), "data:")) else None,
    )

    def open_it(progress: str) -> Page:
        assert written(tmp_path, progress) == file
        page = context.new_page()
        page.goto(file.as_uri())
        page.wait_for_function("Reveal.isReady()")
        return page

    yield open_it
    context.close()
    assert told == []


def everything() -> str:
    return json.dumps(MEASURED)


def parts(page: Page, number: int) -> list[str]:
    """Return what slides there are of a lab."""
    found: list[str] = page.locator(f"[data-lab='{number}']").evaluate_all(
        "all => all.map(slide => slide.dataset.part)"
    )
    return found


def text_of(page: Page, number: int, part: str) -> str:
    return page.locator(f"[data-lab='{number}'][data-part='{part}']").text_content() or ""


def test_the_sample_has_a_result_of_every_kind_there_is() -> None:
    assert len(RESULTS) >= 8


def test_each_lab_is_asked_shown_explained_and_kept(open_deck: OpenDeck) -> None:
    page = open_deck(everything())
    undone = len(LABS) - len(RESULTS)
    assert page.evaluate("Reveal.getTotalSlides()") == 2 + 4 * len(RESULTS) + 2 * undone
    assert f"{len(RESULTS)} of {len(LABS)} labs" in page.locator("section").first.inner_text()
    for lab in RESULTS:
        measured = MEASURED[str(lab.number)]["measured"]
        assert parts(page, lab.number) == ["question", "figure", "why", "kept"]
        assert lab.predict.ask in text_of(page, lab.number, "question")
        assert f"{slides.short(lab.predict.truth(measured))} {lab.predict.unit}".strip() in text_of(
            page, lab.number, "figure"
        )
        for paragraph in lab.explain(measured).split("\n"):
            assert paragraph in text_of(page, lab.number, "why")
        assert lab.passed in text_of(page, lab.number, "kept")


def test_the_figures_are_those_of_the_terminal(open_deck: OpenDeck) -> None:
    page = open_deck(everything())
    rows = page.locator("[data-lab='3'] tbody tr").evaluate_all(
        "all => all.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    measured = MEASURED["3"]["measured"]
    assert [row[0] for row in rows] == [str(point["size"]) for point in measured]
    assert [row[1] for row in rows] == [f"{point['rate']:,.1f}" for point in measured]
    heads = page.locator("[data-lab='3'] thead th").all_text_contents()
    assert heads == ["pool", "answers/s", "pool / time held", "p95, ms", "503"]
    assert page.locator("[data-lab='3'] .said").count() == 0
    expect(page.locator("[data-lab='6'] .said")).to_contain_text("A client waits")


def test_what_a_terminal_draws_with_characters_is_drawn(open_deck: OpenDeck) -> None:
    page = open_deck(everything())
    looks = page.locator("[data-lab='6'] tbody tr").evaluate_all(
        """all => all.map(row => [Number(row.cells[1].textContent),
             Number(row.querySelector("rect")?.getAttribute("width") || 0)])"""
    )
    most = max(freshness.missing(MEASURED["6"]["measured"]["looks"]))
    assert len(looks) > 20
    assert [width for _, width in looks] == [round(freshness.WIDTH * events / most) for events, _ in looks]
    waterfall = page.locator("[data-lab='1'] table").first.locator("rect")
    starts = waterfall.evaluate_all("all => all.map(bar => Number(bar.getAttribute('x')))")
    assert starts == sorted(starts)
    assert len(starts) >= 4


def test_a_question_does_not_give_its_answer_away(open_deck: OpenDeck) -> None:
    page = open_deck(everything())
    for lab in RESULTS:
        slide = page.locator(f"[data-lab='{lab.number}'][data-part='question']")
        assert slide.locator("table, svg").count() == 0
        assert lab.passed not in (slide.text_content() or "")


def test_a_lab_that_nobody_has_done_says_how_to(open_deck: OpenDeck) -> None:
    page = open_deck(json.dumps({"3": MEASURED["3"], "4": {"predicted": 500.0}}))
    for number, lab in LABS.items():
        assert (parts(page, number) == ["question", "begin"]) is (number != 3)
        assert lab.predict.ask in text_of(page, number, "question")
        assert number == 3 or f"make lab N={number}" in text_of(page, number, "begin")


def too_large(page: Page) -> list[list[Any]]:
    """Return the size and the beginning of each slide that the screen has no room for."""
    found: list[list[Any]] = page.evaluate(
        """([width, height]) => Reveal.getSlides().map((slide, number) => { Reveal.slide(number);
             return [slide.scrollWidth, slide.scrollHeight, slide.textContent.trim().slice(0, 80)] })
             .filter(([wide, high]) => wide > width || high > height)""",
        [WIDTH, HEIGHT],
    )
    return found


def test_every_slide_fits_on_the_screen(open_deck: OpenDeck) -> None:
    page = open_deck(everything())
    assert too_large(page) == []
    page.add_style_tag(content=".reveal .why { font-size: 80px }")
    assert len(too_large(page)) > len(RESULTS) / 2


def test_what_a_teacher_says_is_on_no_slide_and_in_the_notes(open_deck: OpenDeck) -> None:
    page = open_deck(everything())
    rows = notes(TEACHER)
    for number in LABS:
        slide = page.locator(f"[data-lab='{number}'][data-part='question']")
        assert slide.locator("aside.notes p").count() == 2 * len(rows.get(number, []))
    assert len(rows[1]) == len(rows[2]) == 2
    assert "<em>should</em>" in rows[5][0].say
    expect(page.locator("aside.notes").first).not_to_be_visible()


def test_s_opens_a_window_with_the_notes(open_deck: OpenDeck) -> None:
    page = open_deck(everything())
    page.evaluate("Reveal.slide(2)")
    with page.expect_popup() as opened:
        page.keyboard.press("s")
    expect(opened.value.locator(".speaker-controls-notes .value")).to_contain_text(
        "Count what waits", timeout=20_000
    )
    assert opened.value.locator("iframe").count() == 2


def hostile(value: Any) -> Any:
    """Return a copy in which each text, and each key, says something else."""
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, list):
        return [hostile(each) for each in value]
    return {key: hostile(each) for key, each in value.items()} if isinstance(value, dict) else value


def test_what_a_file_holds_is_text(open_deck: OpenDeck) -> None:
    made = hostile(MEASURED)
    for step in made["1"]["measured"]["near"]["naive_sync"]["steps"]:
        step |= {"who": "MySQL \ud800"}
    page = open_deck(json.dumps(made))
    shown = text_of(page, 1, "figure")
    assert shown.count(HOSTILE) >= 4
    assert HOSTILE in text_of(page, 2, "figure"), "with what is no markup"
    assert too_large(page) == []
    assert page.title() == "Hot Path Twins: the workshop"
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == len(slides.SCRIPTS)


@pytest.mark.parametrize(
    "progress",
    [
        *("", "{half", "[]", "3", "null", '{"1": 3}', '{"1": {"measured": 7}}', '{"3": {"measured": []}}'),
        *('{"1": {"measured": {"near": {}}}}', '{"2": {"measured": "x", "knob": "y"}}', b"\xff\xfe"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_deck_of_questions(tmp_path: Path, progress: str | bytes) -> None:
    deck = written(tmp_path, progress).read_text()
    assert deck.count("<section") == 2 + 2 * len(LABS)
    assert deck.count('data-part="question"') == deck.count('data-part="begin"') == len(LABS)


def test_a_deck_of_questions_opens(open_deck: OpenDeck) -> None:
    page = open_deck("{half")
    assert page.evaluate("Reveal.getTotalSlides()") == 2 + 2 * len(LABS)
    assert "0 of" in page.locator("section").first.inner_text()
    assert too_large(page) == []


def test_what_is_left_out_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, json.dumps(MEASURED | {"3": {"measured": [{}]}}))
    told = capsys.readouterr()
    assert "lab 3 can't be shown" in told.err
    assert slides.FILE in told.out


def test_a_name_that_is_none_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_USER", "Ada L")
    for program, name in ((slides, "slides"), (sheet, "sheet")):
        assert program.main([]) == 1
        told = capsys.readouterr().err
        assert told.startswith(f"{name}: LAB_USER=Ada L: up to 20")
        assert told.count("\n") == 1


def test_a_folder_that_nobody_can_write_to_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for program, name in ((slides, "slides"), (sheet, "sheet")):
        assert program.main(["--folder", str(tmp_path / "file")]) == 1
        told = capsys.readouterr().err
        assert told.startswith(f"{name}: ")
        assert told.count("\n") == 1


def test_no_address_is_in_it_but_in_the_words_of_the_library() -> None:
    deck = slides.render(Progress(DONE), LABS.values(), TEACHER)
    for name in (*slides.STYLES, *slides.SCRIPTS):
        if name.startswith("vendor/"):
            deck = deck.replace((slides.HERE / name).read_text(), "")
    assert re.findall(r"\w+://\w\S*|(?:src|href)=\S*", deck) == []


def test_the_same_progress_gives_the_same_deck() -> None:
    once, again = (slides.render(Progress(DONE), LABS.values(), TEACHER) for _ in range(2))
    assert once == again


def test_the_library_is_the_one_that_was_published() -> None:
    vendor = slides.HERE / "vendor"
    told = re.findall(r"dist/(?:\w+/)?(\S+), SHA-256 ([0-9a-f]{64})", (vendor / "VERSION").read_text())
    assert {name: hashlib.sha256((vendor / name).read_bytes()).hexdigest() for name, _ in told} == dict(told)
    there = {file.name for file in vendor.iterdir()}
    assert there == {name for name, _ in told} | {"VERSION", "LICENSE", "LICENSE-marked"}
    assert sum(file.stat().st_size for file in vendor.iterdir()) < 300_000
