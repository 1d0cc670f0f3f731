"""Programs: mbpp, humaneval; and `code`, a grader for a user's own data."""

from __future__ import annotations

from dataclasses import replace

from ..rewards import CASE_COLUMNS, GRADERS
from .benchmark import Benchmark, Fields, Hub, as_text, fill
from .task import Row, Sampling

GREEDY_2048 = Sampling(samples=1, temperature=0.0, top_p=1.0, max_tokens=2048)
OURS = "sampling: ours, greedy (the GeoRA notes and the RLPO/RLMO paper score MBPP once a problem and give none)"
# Chen et al., arXiv:2107.03374, §3: where a base model that continues a function begins something else
NEXT_TOP_LEVEL = ("\nclass ", "\ndef ", "\n#", "\nif ", "\nprint(", "\n```")
TEST_COLUMNS = ("test_list", "test_setup_code", "test_imports")

OWN_COLUMNS = tuple(dict.fromkeys((*CASE_COLUMNS, *TEST_COLUMNS)))


def fenced(program: str) -> str:
    """A program as a chat model writes it."""
    return f"```python\n{program.replace(chr(13), '').strip(chr(10))}\n```"


def mbpp_row(template: str, fields: Fields) -> Row:
    """The task in words and the tests it must pass, as in the paper; the tests are the gold."""
    tests = "\n".join(map(as_text, fields["test_list"]))
    columns = {name: fields[name] for name in TEST_COLUMNS if fields[name]}
    target = fenced(fields["code"]) if fields["code"] else ""
    return Row(fill(template, text=as_text(fields["text"]), tests=tests), "", target, columns)


def humaneval_row(template: str, fields: Fields) -> Row:
    """A function's head, to go on with; its tests are the gold."""
    columns = {name: fields[name] for name in ("prompt", "test", "entry_point")}
    return Row(fill(template, prompt=fields["prompt"]), "", fields["canonical_solution"] or "", columns)


def humaneval_chat_row(template: str, fields: Fields) -> Row:
    """The same as an instruction; what to learn is the whole function."""
    row = humaneval_row(template, fields)
    return replace(row, target=fenced(fields["prompt"] + row.target) if row.target else "")


def own_code_row(template: str, fields: Fields) -> Row:
    """A prompt of the user's and the tests beside it."""
    columns = {name: fields[name] for name in ("prompt", *OWN_COLUMNS) if fields[name]}
    return Row(fill(template, prompt=as_text(fields["prompt"])), "", "", columns)


mbpp = Benchmark(
    name="mbpp",
    description="short Python functions from a sentence and three tests",
    grader=GRADERS["code"],
    hub=Hub("google-research-datasets/mbpp", "test", "train", 500, 374, ("full",), seen="its card"),
    template=(
        "You are an expert Python programmer, and here is your task: {text} "
        "Your code should pass these tests:\n\n{tests}\n\nWrite the code in one ```python block."
    ),
    columns={"text": ("text", "prompt"), "test_list": ("test_list",)},
    optional={"test_setup_code": ("test_setup_code",), "test_imports": ("test_imports",), "code": ("code",)},
    make=mbpp_row,
    sampling=GREEDY_2048,
    source=f"Austin et al., arXiv:2108.07732, §3 (without its three examples); {OURS}",
    stop=("[DONE]",),
)

humaneval = Benchmark(
    name="humaneval",
    description="Python functions to complete from their head and docstring, as text",
    grader=GRADERS["code"],
    hub=Hub("openai/openai_humaneval", "test", "", 164, configs=("openai_humaneval",), seen="its card"),
    template="{prompt}",
    columns={"prompt": ("prompt",), "test": ("test",), "entry_point": ("entry_point",)},
    optional={"canonical_solution": ("canonical_solution",)},
    make=humaneval_row,
    sampling=replace(GREEDY_2048, max_tokens=1024),
    source="Chen et al., arXiv:2107.03374; sampling: ours, greedy (the GeoRA notes give none)",
    stop=NEXT_TOP_LEVEL,
    chat=False,
)
humaneval_chat = replace(
    humaneval,
    name="humaneval-chat",
    description="the same, asked of a model made for chat",
    template="Complete the following Python function. Answer with the whole function in one ```python block.\n\n"
    "```python\n{prompt}```",
    make=humaneval_chat_row,
    sampling=GREEDY_2048,
    stop=(),
    chat=True,
)

own_code = Benchmark(
    name="code",
    description="programs for tests of your own",
    grader=GRADERS["code"],
    hub=None,
    template="{prompt}",
    columns={"prompt": ("prompt", "text", "question")},
    optional={name: (name,) for name in OWN_COLUMNS},
    make=own_code_row,
    sampling=GREEDY_2048,
    source="prompt and tests are yours; sampling: as MBPP",
)
