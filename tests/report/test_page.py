from __future__ import annotations

import math
import random
import re
from pathlib import Path

import pytest

from stiefel.errors import UserError
from stiefel.report import write_report

from .conftest import Maker, needs_chromium
from .weights import add_geometry, add_inspection


def text_of(page: Path) -> str:
    """The page without its scripts and tags."""
    return re.sub(r"<[^>]*>", "", re.sub(r"<(script|style).*?</\1>", "", page.read_text(), flags=re.DOTALL))


def test_a_comparison_gets_a_page_and_a_table(make: Maker) -> None:
    make.run("rlpo")
    make.run("lora", status="running", rewards=[0.1] * 6)
    page = write_report(make.root)
    assert page == make.root / "report.html"
    assert (make.root / "table.json").is_file()
    assert (make.root / "table.md").is_file()
    text = text_of(page)
    assert "One seed decides nothing" in text
    assert "60 rollouts of 8 prompts × 8 completions" in text
    assert "lora-lr0.001-seed0 is unfinished (running, 6 of 60 rollouts)" in text
    assert "wrong (differs, cut off)" in text
    assert "&gt;&lt;b&gt;nothing" in text, "a completion is text, never markup"


def test_a_run_gets_a_page_alone_and_out_is_made(make: Maker, tmp_path: Path) -> None:
    run = make.run(metrics={"grad_norm": [1.0, math.nan, 1.0, 1.0, 1.0, 1.0]})
    page = write_report(run, tmp_path / "new" / "page.html")
    assert not (run / "table.json").exists()
    assert "gradient norm is not finite in 1 of 6 rollouts" in text_of(page)
    assert page.read_bytes() == write_report(run).read_bytes()


def test_seeds_are_counted_in_words(make: Maker) -> None:
    for seed in (0, 1, 2):
        make.run(seed=seed)
    text = text_of(write_report(make.root))
    assert "Means over 3 seeds ± sample standard deviation" in text
    assert "One seed decides nothing" not in text


def test_a_directory_is_no_page(make: Maker, tmp_path: Path) -> None:
    run = make.run()
    with pytest.raises(UserError, match="is a directory"):
        write_report(run, tmp_path)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four methods, two rates, two seeds at one of them, a collapse and an unfinished run, 40 rollouts."""
    make = Maker(tmp_path_factory.mktemp("report") / "comparison")
    noise = random.Random(0)
    for method in ("lora", "pissa", "rlpo", "a-method-of-one's-own"):
        for lr, seed in ((3e-4, 0), (3e-4, 1), (1e-2, 0)):
            rewards = [min(1.0, max(0.0, 0.4 + 0.01 * step + noise.gauss(0, 0.06))) for step in range(40)]
            collapse = method == "pissa" and lr == 1e-2
            grads = [math.nan if collapse and step > 20 else noise.uniform(0.1, 2) for step in range(40)]
            kls = [10 ** (step / 10 - 5) if step % 10 == 9 else 0.0 if step == 0 else None for step in range(40)]
            run = make.run(method, lr, seed, rewards=rewards, metrics={"grad_norm": grads, "kl_base": kls})
            if lr == 3e-4:
                add_geometry(run, seed=seed)
                add_inspection(run, seed=seed, anchored=method == "pissa")
    make.run("rlmo", 3e-4, 0, rewards=[0.5] * 40, status="running")
    return write_report(make.root)


@needs_chromium
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_works_in_a_browser_without_a_network(report: Path, browser: object, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    asked, said = [], []
    page.set_default_timeout(10_000)
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(report.as_uri(), timeout=60_000)  # a large page on a machine that may be busy
    page.wait_for_selector("html[data-drawn]", state="attached", timeout=60_000)

    assert page.locator("#training .chart").count() == 8  # four metrics at two rates
    assert page.locator("#figure-02-dynamics .chart").count() == 4  # no KL of the updates: reward and gradient norm
    assert page.locator("#figure-07-similarity .chart").count() == 4
    assert page.locator("#geora-spectra .chart").count() == 4
    assert page.locator(".chart svg.marks").count() == page.locator(".chart").count()
    marks = page.evaluate(
        "[...document.querySelector('#training').querySelectorAll('.chart')]"
        ".map(c => [...c.querySelectorAll('.mark-line path')]"
        ".filter(p => p.getAttribute('d').includes('L') && p.getBoundingClientRect().width > 100).length)"
    )
    assert min(marks) >= 4, "a line for every method in every chart"
    assert page.evaluate("document.querySelector('.answer p').getBoundingClientRect().bottom < innerHeight")
    anchors = page.evaluate("[...document.querySelectorAll('nav a')].map(a => a.getAttribute('href').slice(1))")
    assert len(anchors) > 10
    assert page.evaluate("names => names.filter(name => !document.getElementById(name))", anchors) == []
    boxes = (
        "[...document.querySelectorAll('table')].filter(t => getComputedStyle(t.parentElement).overflowX !== 'auto')"
    )
    assert page.evaluate(f"{boxes}.length") == 0, "a wide table scrolls inside its own box"
    page.locator("#ranking .chart summary").click()
    with page.expect_download() as download:
        page.get_by_text("Save as PNG").first.click()
    assert download.value.suggested_filename.endswith(".png")
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    page.locator("#ranking .chart summary").click()
    for opened in page.locator("section > details > summary").all()[:2]:
        opened.click()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate(
        "[...document.querySelectorAll('.chart svg.marks')]"
        ".every(s => s.clientWidth <= s.closest('.chart').clientWidth)"
    )

    faded = (
        "[...document.querySelectorAll('.chart .mark-line path')].filter(p => p.getAttribute('opacity') < 0.2).length"
    )
    assert page.evaluate(faded) == 0
    page.locator(".legend button").first.click()
    page.wait_for_function(f"{faded} > 0")
    page.locator(".legend button").first.click()

    page.locator("#chart-2 svg.marks").hover(position={"x": 150, "y": 80})
    page.wait_for_selector("#vg-tooltip-element.visible")
    tooltip = page.locator("#vg-tooltip-element").inner_text()
    assert re.search(r"method\s+(lora|pissa|rlpo|rlmo|a-method-of-one's-own)\s+rollout\s+\d+\s", tooltip), tooltip
    assert asked == [report.as_uri()]
    assert said == []
    context.close()
