"""What holds of every page, a run's and a comparison's: contents, tables, whose figures, which KL, ticks, looks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stiefel.report import write_report
from stiefel.report.cells import cells
from stiefel.report.counted import ticks
from stiefel.report.curves import METRICS
from stiefel.report.evidence import read_evidence
from stiefel.report.figures import FIGURES, Drawing, write_figures
from stiefel.report.figures.panels import Lines
from stiefel.report.runs import read_runs
from stiefel.report.table import table
from stiefel.report.theme import DARK, LIGHT

from .conftest import Maker, needs_chromium
from .test_page import text_of
from .weights import add_geometry, add_inspection

KLS = {"kl_rollout": [1e-4, 2e-4], "kl_step": [1e-3, 2e-3], "kl_update": [1e-3, 2e-3], "step_scale": [1.0, 0.5],
       "capped_updates": [0, 1]}  # fmt: skip
WHOSE = re.compile(r"(Fig\.|[Ff]igures?|Eq\.|Table) \d")
TO = ("to the base", "to the policy before it")


def a_run(make: Maker) -> Path:
    """Of two rollouts, with everything measured."""
    run = make.run("pissa", rewards=[0.1, 0.2], metrics=KLS)
    add_geometry(run, steps=(1, 2))
    add_inspection(run, anchored=True)
    return run


def a_fall(make: Maker) -> Path:
    """Diverged in its first rollout."""
    return make.run(rewards=[0.1], metrics={"kl_step": [3.0], "kl_rollout": [2.0]}, status="diverged")


def a_comparison(make: Maker) -> Path:
    """Two methods, two rates, two seeds; two rollouts, and a run that diverged in the first."""
    for method in ("lora", "pissa"):
        for lr in (1e-3, 1e-2):
            for seed in (0, 1):
                fell = (method, lr, seed) == ("pissa", 1e-2, 1)
                run = make.run(
                    method, lr, seed, rewards=[0.1] if fell else [0.1, 0.2], status="diverged" if fell else "finished",
                    metrics=KLS | {"kl_base": [0.0, 0.1]},
                )  # fmt: skip
                if lr == 1e-3:
                    add_inspection(run, seed=seed, anchored=method == "pissa")
    return make.root


def nobody_s(text: str) -> list[str]:
    """The numbers of figures and equations beside which no paper stands."""
    found = [text[max(0, at.start() - 40) : at.end() + 20] for at in WHOSE.finditer(text)]
    return [words for words in found if "RLPO paper" not in words]


PAGES = {"run": a_run, "fall": a_fall, "comparison": a_comparison}


@pytest.fixture(scope="module", params=list(PAGES))
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(PAGES[request.param](Maker(tmp_path_factory.mktemp(request.param) / "comparison")))


def test_the_contents_name_every_section_in_order(page: Path) -> None:
    text = page.read_text()
    sections = re.findall(r'<(?:section|h2) id="([^"]+)"(?:>\s*<h2)?>', text)
    listed = re.findall(r'<li><a href="#([^"]+)">', text.partition("<nav")[2].partition("</nav>")[0])
    assert len(listed) > 5
    assert listed == [name for name in sections if name != "answer"]


def test_no_number_of_a_paper_s_figure_stands_without_the_paper(page: Path) -> None:
    text = text_of(page)
    assert len(WHOSE.findall(text)) > 5
    assert nobody_s(text) == []
    assert re.search(r"<h3>.*modelled on RLPO paper \(arXiv:2606\.31813\), Fig\. 2<", page.read_text())


def test_the_captions_of_pictures_say_whose_figure_they_are_after(make: Maker) -> None:
    run = a_run(make)
    said: list[str] = []
    *_, captions = write_figures(read_evidence(read_runs(run), str), run, said.append, ("training", "weights"))
    text = captions.read_text() + "\n".join(said)
    assert nobody_s(text) == []
    assert "RLPO paper, Fig. 4 is not drawn" in text


def test_every_kl_says_to_which_policy_it_is(make: Maker) -> None:
    directory = a_comparison(make)
    for metric in METRICS:
        if metric.key.startswith("kl"):
            assert metric.title.endswith(TO), metric.title
            assert metric.axis.startswith("KL(π_"), metric.axis
    evidence = read_evidence(read_runs(directory), str, comparison=directory)
    drawings = [figure.draw(evidence) for figure in FIGURES]
    panels = [one for drawing in drawings if isinstance(drawing, Drawing) for one in drawing.panels]
    of_kl = [one for one in panels if isinstance(one, Lines) and "KL" in one.title]
    assert len(of_kl) > 6
    for one in of_kl:
        assert one.title.partition(", rate")[0].endswith(TO), one.title
        assert one.what.endswith(TO), one.what  # in the tooltip
        assert one.y_title == ("KL(π_θ‖π_base)" if "base" in one.title else one.y_title)
        assert one.y_title.startswith("KL(π_"), one.title
    titles = re.findall(r'"title": "(KL[^"]*)"', write_report(directory).read_text())  # of axes and in tooltips
    assert [one for one in titles if not (one.startswith("KL(") or one.partition(", nats")[0].endswith(TO))] == []
    columns = [name for name in cells(table(evidence.runs)).header if "KL" in name]
    assert columns == ["KL to base", "dearest update, KL to the policy before it"]


@pytest.mark.parametrize(
    ("first", "last", "at_most", "expected"),
    [
        (1, 1, 5, [1]),
        (1, 2, 8, [1, 2]),
        (1, 3, 5, [1, 2, 3]),
        (1, 12, 5, [5, 10]),
        (1, 60, 8, [10, 20, 30, 40, 50, 60]),
        (0, 27, 5, [0, 10, 20]),
        (999, 1001, 2, [1000]),
    ],
)
def test_ticks_of_a_count_are_whole_and_few(first: int, last: int, at_most: int, expected: list[int]) -> None:
    assert ticks(first, last, at_most) == expected


def test_a_table_of_one_row_stands_upright(tmp_path: Path) -> None:
    single = write_report(a_run(Maker(tmp_path / "one"))).read_text()
    several = write_report(a_comparison(Maker(tmp_path / "several"))).read_text()
    assert '<tr><th scope="row">learning rate</th><td>1e-3</td></tr>' in single
    assert "1e-2</th>" in several, "in a row's name, which stays where it is while the row scrolls"


@pytest.fixture
def opened(page: Path, browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page on a phone, with its complaints."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    shown = context.new_page()
    shown.set_default_timeout(30_000)
    said: list[str] = []
    shown.on("console", lambda message: said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.goto(page.as_uri())
    shown.wait_for_selector("html[data-drawn]", state="attached", timeout=120_000)
    yield shown
    assert said == []
    context.close()


CUT = (
    "[...document.querySelectorAll('.wide')]"
    ".filter(w => w.offsetWidth && w.firstElementChild.scrollWidth > w.firstElementChild.clientWidth)"
)


@needs_chromium
def test_on_a_phone_every_page_can_be_gone_through(opened: Any) -> None:
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.closest('nav, .answer') !== null")
    link = opened.locator("nav a[href='#settings']")
    link.focus()
    assert opened.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    opened.keyboard.press("Enter")
    opened.wait_for_function("document.getElementById('settings').getBoundingClientRect().top < innerHeight")

    for one in opened.locator("details > summary").all()[-3:]:
        one.click()
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth"), "with what was folded too"
    seen = (
        "w => getComputedStyle(w, '::after').display !== 'none'"
        " && w.nextElementSibling.checkVisibility({visibilityProperty: true})"
    )
    opened.wait_for_function(f"{CUT}.every({seen})")
    opened.evaluate(f"{CUT}.forEach(w => w.firstElementChild.scrollLeft = 1e6)")
    opened.wait_for_function(f"!{CUT}.some({seen})")
    fits = "[...document.querySelectorAll('.wide:has(.upright)')].every(w => w.classList.contains('whole'))"
    assert opened.evaluate(fits)

    labels = (
        "[...document.querySelectorAll('.chart svg.marks')].filter(s => s.textContent.includes('rollout')).map(s =>"
        " [...s.querySelectorAll('.role-axis')].find(a => a.textContent.endsWith('rollout'))).filter(a => a).map(a =>"
        " [...a.querySelectorAll('.role-axis-label text')].map(t => t.textContent).join(' '))"
    )
    found = opened.evaluate(labels)
    assert len(found) > 5
    assert set(found) <= {"1", "1 2"}, found

    opened.emulate_media(reduced_motion="reduce")
    menu = "getComputedStyle(document.querySelector('.chart details')).animationName"
    opened.locator(".chart summary").first.click()
    assert opened.evaluate(menu.replace(".chart details", ".chart .vega-actions")) == "none"


@needs_chromium
def test_a_page_that_was_drawn_for_a_dark_screen_prints_in_dark_letters(opened: Any) -> None:
    letters = "getComputedStyle(document.querySelector('.chart .role-axis-label text')).fill"
    assert opened.evaluate(letters) == in_rgb(DARK["mark"]["color"])
    opened.emulate_media(media="print", color_scheme="dark")
    assert opened.evaluate(letters) == in_rgb(LIGHT["mark"]["color"])
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    boxes = "[...document.querySelectorAll('.box')].every(b => getComputedStyle(b).overflowX === 'visible')"
    assert opened.evaluate(boxes), "a table is printed whole"
    assert opened.evaluate("getComputedStyle(document.querySelector('.legend')).position") == "static"


def in_rgb(colour: str) -> str:
    """#b9bfc9 as a browser says it."""
    return f"rgb({', '.join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))})"
