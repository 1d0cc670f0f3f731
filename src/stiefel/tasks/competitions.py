"""Mathematics competitions: aime22 to aime25, amc23, hmmt25, olymmath."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..rewards import GRADERS
from .benchmark import BadRow, Benchmark, Fields, Hub, as_text
from .math import answer_line_row, boxed_row
from .task import Sampling
from .templates import ANSWER_LINE, BOXED, OURS, TABLE_3, THIRTY_TWO_16384

YEAR = re.compile(r"(20\d\d)_AIME")  # in a problem's address
THREE_YEARS = Hub("AI-MO/aimo-validation-aime", "train", "", 30, seen="its card: 90 rows, 2022 to 2024")
NAMES = {"question": ("problem", "question", "Problem", "Question"), "answer": ("answer", "Answer")}


def integer(answer: Any) -> str:
    """An AIME answer, an integer from 0 to 999; "025" is 25, as text is compared with text."""
    gold = as_text(answer)
    if not gold.isascii() or not gold.isdigit() or int(gold) > 999:
        raise BadRow(f"the answer {gold!r} is no integer from 0 to 999, which every AIME answer is")
    return str(int(gold))


def of_year(year: int) -> Callable[[Fields], bool]:
    """Whether a row is of that year; one that does not tell is."""

    def keep(record: Fields) -> bool:
        found = YEAR.search(str(record.get("url") or ""))
        return found is None or int(found[1]) == year

    return keep


def aime(year: int, hub: Hub) -> tuple[Benchmark, Benchmark]:
    """One year's both papers: by DAPO's exact match as in the RLPO/RLMO paper, and in a box."""
    exact = Benchmark(
        name=f"aime{year % 100}",
        description=f"AIME {year} I and II, by DAPO's normalised exact match",
        grader=GRADERS["dapo"],
        hub=hub,
        template=ANSWER_LINE,
        columns=NAMES,
        make=answer_line_row,
        gold=integer,
        sampling=THIRTY_TWO_16384,
        source=TABLE_3 + (", and its grader" if year < 2025 else " for the years before it"),
        keep=of_year(year),
    )
    boxed = replace(
        exact,
        name=f"aime{year % 100}-boxed",
        description="the same, answers in a box, by mathematical equality",
        grader=GRADERS["math"],
        template=BOXED,
        make=boxed_row,
        source=TABLE_3 + ("" if year < 2025 else " for the years before it"),
    )
    return exact, boxed


aime22, aime22_boxed = aime(2022, THREE_YEARS)
aime23, aime23_boxed = aime(2023, THREE_YEARS)
aime24, aime24_boxed = aime(2024, THREE_YEARS)
aime25, aime25_boxed = aime(2025, Hub("math-ai/aime25", "test", "", 30, seen="public loaders"))


def competition(name: str, description: str, hub: Hub, source: str, sampling: Sampling = THIRTY_TWO_16384) -> Benchmark:
    """Answers in a box, by mathematical equality."""
    return Benchmark(
        name=name,
        description=description,
        grader=GRADERS["math"],
        hub=hub,
        template=BOXED,
        columns=NAMES,
        make=boxed_row,
        sampling=sampling,
        source=f"{source}{OURS}",
    )


amc23 = competition(
    "amc23", "AMC 12 of 2023", Hub("math-ai/amc23", "test", "", 40, seen="public loaders"), "", THIRTY_TWO_16384
)
hmmt25 = competition(
    "hmmt25",
    "Harvard–MIT Mathematics Tournament, February 2025",
    Hub("MathArena/hmmt_feb_2025", "train", "", 30, seen="its organisation's list, and the card of a later year"),
    "Balunović et al., arXiv:2505.23281; ",
)
olymmath = competition(
    "olymmath",
    "olympiad problems in English, the easy hundred and the hard hundred",
    Hub("RUC-AIBOX/OlymMATH", "test", "", 200, configs=("en-easy", "en-hard"), seen="public loaders"),
    "Sun et al., arXiv:2503.21380; ",
    Sampling(samples=4, temperature=0.6, top_p=0.95, max_tokens=16_384),
)
