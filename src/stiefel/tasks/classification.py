"""Two sentences' worth of GLUE, asked as a choice of two: cola, mrpc."""

from __future__ import annotations

from collections.abc import Callable

from ..rewards import GRADERS
from .benchmark import BadRow, Benchmark, Fields, Hub, as_text, fill
from .choice import lettered
from .task import Row, Sampling

ONE_LETTER = Sampling(samples=1, temperature=0.0, top_p=1.0, max_tokens=32)
SOURCE = "Wang et al., arXiv:1804.07461, trained on in Table 8 of the RLPO/RLMO paper; prompt and sampling: ours"


def label_row(choices: tuple[str, str]) -> Callable[[str, Fields], Row]:
    """Label 0 is A, label 1 is B."""

    def row(template: str, fields: Fields) -> Row:
        label = as_text(fields["label"])
        if label == "-1":
            raise BadRow("the label is -1: GLUE keeps its test split's labels; take validation")
        if label not in ("0", "1"):
            raise BadRow(f"the label {label!r} is neither 0 nor 1")
        sentences = {name: as_text(value) for name, value in fields.items() if name != "label"}
        letter = "AB"[int(label)]
        prompt = fill(template, **sentences, choices=lettered(list(choices)))
        return Row(prompt, letter, letter, {"choices": list(choices)})

    return row


cola = Benchmark(
    name="cola",
    description="is this sentence acceptable English? (accuracy)",
    grader=GRADERS["choice"],
    hub=Hub("nyu-mll/glue", "validation", "train", 1043, 8551, ("cola",), seen="its card"),
    template="Is this sentence acceptable English?\n\nSentence: {sentence}\n\n{choices}\n\n"
    "Answer with the letter alone.",
    columns={"sentence": ("sentence",), "label": ("label",)},
    make=label_row(("no", "yes")),
    sampling=ONE_LETTER,
    source=SOURCE,
)

mrpc = Benchmark(
    name="mrpc",
    description="do these two sentences mean the same? (accuracy)",
    grader=GRADERS["choice"],
    hub=Hub("nyu-mll/glue", "validation", "train", 408, 3668, ("mrpc",), seen="its card"),
    template="Do these two sentences mean the same?\n\nFirst: {sentence1}\nSecond: {sentence2}\n\n{choices}\n\n"
    "Answer with the letter alone.",
    columns={"sentence1": ("sentence1",), "sentence2": ("sentence2",), "label": ("label",)},
    make=label_row(("no", "yes")),
    sampling=ONE_LETTER,
    source=SOURCE,
)
