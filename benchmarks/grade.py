"""The graders on real data: golds accepted, golds made wrong refused, and how fast: `python -m benchmarks.grade DATA`.

DATA (or STIEFEL_DATA): a directory with gsm8k_test.jsonl, svamp_test.jsonl, mmlu_stem_500.jsonl, humaneval.jsonl and
mbpp.jsonl, and public_grading_cases.jsonl: cases of public bug reports, each with the score that is right. Ten minutes
on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import string
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import keep
from stiefel.rewards import GRADERS, Grade, grade_all
from stiefel.rewards.batch import code_outcomes
from stiefel.rewards.mathematics.math import grade_math
from stiefel.rewards.pool import Pool
from stiefel.rewards.sandbox import Job, Limits, find_sandbox, run_job
from stiefel.rewards.sandbox.find import hole
from stiefel.rewards.sandbox.inside.tests import parsed, under_test
from stiefel.rewards.sandbox.kinds import BUBBLEWRAP, NAMESPACES
from stiefel.tasks.given import find_given, given
from stiefel.tasks.grading import graded as results_of

Pair = tuple[str, Any]
Row = dict[str, Any]

CHOICE_FORMS = ("The answer is {}.", "\\boxed{{{}}}", "Answer: ({})")
CASES = "public_grading_cases.jsonl"
WRONG_BODY = "    pass\n"


@dataclass(frozen=True)
class GoldSet:
    """A file, its grader, and what a row's right and wrong completions are."""

    file: str
    grader: str
    gold: Callable[[Row], Any]
    right: Callable[[Row], list[str]]
    wrong: Callable[[Row, random.Random], list[str]]


def number_of(row: Row) -> str:
    """GSM8K's final number, or SVAMP's."""
    return row["answer"].rpartition("####")[2].strip() if "answer" in row else format(row["Answer"], ".10g")


def right_numbers(row: Row) -> list[str]:
    """The reference solution where there is one, and the number in three forms."""
    number = number_of(row)
    forms = [f"So the result is \\boxed{{{number}}}.", f"The final answer is {number}.", f"Hence\n#### {number}"]
    return [row["answer"], *forms] if "answer" in row else forms


def wrong_numbers(row: Row, rng: random.Random) -> list[str]:
    """Off by one, the sign, ten times, a tenth, half, off by a random number: each another value than the gold."""
    text = number_of(row).replace(",", "")
    value = float(text)
    values = [
        value + 1,
        value - 1,
        value * 10 or 3,
        value / 10 or 7,
        -value or 5,
        value + rng.randint(2, 99),
        value / 2 or 9,
    ]
    texts = [format(other, ".12g") for other in values if other != value]
    forms = ("So the result is \\boxed{{{}}}.", "The final answer is {}.", "Hence\n#### {}")
    return [rng.choice(forms).format(other) for other in texts]


def letters(row: Row) -> str:
    """The choices' letters."""
    return string.ascii_uppercase[: len(row["choices"])]


def program_of(row: Row) -> str:
    """The reference program as a completion."""
    return row["canonical_solution"] if "canonical_solution" in row else f"```python\n{row['code']}\n```"


def wrong_programs(row: Row, rng: random.Random) -> list[str]:
    """The function asked for, with a body that does not do it."""
    if "entry_point" in row:
        return [f"def {row['entry_point']}(*args):\n{WRONG_BODY}"]
    names = sorted(under_test(parsed("\n".join(row["test_list"]), "the tests")))
    return ["```python\n" + "\n".join(f"def {name}(*args):\n{WRONG_BODY}" for name in names) + "```"]


SETS = (
    GoldSet("gsm8k_test.jsonl", "gsm8k", lambda row: row["answer"], right_numbers, wrong_numbers),
    GoldSet("svamp_test.jsonl", "gsm8k", lambda row: row["Answer"], right_numbers, wrong_numbers),
    GoldSet(
        "mmlu_stem_500.jsonl",
        "choice",
        lambda row: row,
        lambda row: [form.format(letters(row)[row["answer"]]) for form in CHOICE_FORMS],
        lambda row, rng: [
            rng.choice(CHOICE_FORMS).format(letter) for letter in letters(row) if letter != letters(row)[row["answer"]]
        ],
    ),
    GoldSet("humaneval.jsonl", "code", lambda row: row, lambda row: [program_of(row)], wrong_programs),
    GoldSet("mbpp.jsonl", "code", lambda row: row, lambda row: [program_of(row)], wrong_programs),
)


def rows(gold_set: GoldSet, data: Path) -> list[Row]:
    """The file's rows."""
    return [json.loads(line) for line in (data / gold_set.file).read_text().splitlines()]


def right_pairs(gold_set: GoldSet, data: Path) -> list[Pair]:
    """(completion, gold) of every right completion."""
    return [(completion, gold_set.gold(row)) for row in rows(gold_set, data) for completion in gold_set.right(row)]


def perturbed_pairs(gold_set: GoldSet, data: Path) -> list[Pair]:
    """(completion, gold) of every wrong completion."""
    rng = random.Random(0)
    return [(completion, gold_set.gold(row)) for row in rows(gold_set, data) for completion in gold_set.wrong(row, rng)]


def graded(gold_set: GoldSet, pairs: list[Pair]) -> list[Grade]:
    """The grades of pairs whose gold is an answer, or a row."""
    completions, golds = [completion for completion, _ in pairs], [gold for _, gold in pairs]
    if gold_set.grader in ("math", "gsm8k"):
        return grade_all(GRADERS[gold_set.grader], completions, golds)
    rest = [{key: value for key, value in row.items() if key not in ("completion", "answer")} for row in golds]
    return grade_all(GRADERS[gold_set.grader], completions, [row.get("answer", "") for row in golds], rest)


def counted(gold_set: GoldSet, data: Path) -> dict[str, Any]:
    """Golds accepted (every right completion of a row scores 1), wrong ones refused, and each exception."""
    right, wrong = right_pairs(gold_set, data), perturbed_pairs(gold_set, data)
    forms, grades = len(right) // len(rows(gold_set, data)), graded(gold_set, right)
    by_row = [grades[start : start + forms] for start in range(0, len(grades), forms)]
    names = [str(row.get("task_id", number)) for number, row in enumerate(rows(gold_set, data))]
    refusals = {
        name: f"{grade.score}: {grade.reason}"[:300]
        for name, some in zip(names, by_row, strict=True)
        for grade in some
        if grade.score != 1.0
    }
    refused = [grade.score == 0.0 for grade in graded(gold_set, wrong)]
    return {
        "rows": len(rows(gold_set, data)),
        "accepted": sum(all(grade.score == 1.0 for grade in some) for some in by_row),
        "not_accepted": refusals,
        "made_wrong": len(wrong),
        "refused": sum(refused),
        "passed_although_wrong": [repr(pair)[:200] for pair, no in zip(wrong, refused, strict=True) if not no][:10],
    }


def answers_per_second(pairs: list[Pair], workers: int) -> float:
    """Of a pool that has started and has met such answers; each content is new to it."""
    pool = Pool(workers)
    pool.grade("gsm8k", latex_pairs(120, seed=1))
    began = time.perf_counter()
    pool.grade("gsm8k", pairs)
    rate = len(pairs) / (time.perf_counter() - began)
    pool.close()
    return rate


def plain_per_second(pairs: list[Pair]) -> float:
    """math-verify called plainly, in this process, warm likewise: parse the gold, parse the completion, verify."""
    for completion, gold in latex_pairs(120, seed=1):
        plainly(completion, gold)
    began = time.perf_counter()
    for completion, gold in pairs:
        plainly(completion, gold)
    return len(pairs) / (time.perf_counter() - began)


def plainly(completion: str, gold: Any) -> bool:
    """As math-verify's documentation has it, the gold in LaTeX's dollars."""
    from math_verify import parse, verify

    return bool(verify(parse(f"${str(gold).rpartition('####')[2].strip()}$"), parse(completion)))


def programs_per_second(pairs: list[Pair]) -> float:
    """Sandboxed programs, as many side by side as there are cores."""
    find_sandbox()
    began = time.perf_counter()
    outcomes = code_outcomes(pairs)
    assert all(isinstance(outcome, Grade) for outcome in outcomes)
    return len(pairs) / (time.perf_counter() - began)


def strings_survived(count: int) -> dict[str, Any]:
    """Random and mutated mathematics through a pool of two with a limit of 2 s: grades, and workers lost."""
    from tests.rewards.strings import hostile_strings

    pool = Pool(2, seconds=2.0)
    began = time.perf_counter()
    outcomes = pool.grade("math", [(text, "42") for text in hostile_strings(count, seed=1)])
    result = {
        "strings": count,
        "graded": sum(isinstance(outcome, Grade) for outcome in outcomes),
        "out_of_time": sum(isinstance(o, Grade) and o.reason.startswith("out of time") for o in outcomes),
        "workers_replaced": pool.killed,
        "seconds": round(time.perf_counter() - began, 1),
    }
    pool.close()
    return result


def hand_written() -> dict[str, int]:
    """The tables of the tests: pairs that are equal, and pairs that are not."""
    from tests.rewards.test_mathematics import EQUAL, UNEQUAL

    scores = [[grade_math(f"\\boxed{{{answer}}}", gold).score for gold, answer in table] for table in (EQUAL, UNEQUAL)]
    return {
        "equivalences": len(EQUAL),
        "accepted": scores[0].count(1.0),
        "non_equivalences": len(UNEQUAL),
        "refused": scores[1].count(0.0),
    }


def hostile_programs() -> dict[str, Any]:
    """The attacks of the tests in every sandbox that works here: how many scored 0, and whether it works afterwards."""
    from tests.rewards.hostile import HOSTILE, SOLVE, TESTS

    limits, results = Limits(cpu_seconds=1, wall_seconds=4.0, memory_bytes=256 * 2**20), {}
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "secret").write_text("secret")
        jobs = [Job(program.replace("{home}", home), TESTS) for program in HOSTILE.values()]
        for kind in (BUBBLEWRAP, NAMESPACES):
            if kind.missing() or hole(kind):
                continue
            with ThreadPoolExecutor(os.cpu_count()) as threads:
                verdicts = list(threads.map(run_job, jobs, [kind] * len(jobs), [limits] * len(jobs)))
            results[kind.name] = {
                "programs": len(jobs),
                "refused": sum(verdict.passed is False for verdict in verdicts),
                "works_afterwards": run_job(Job(SOLVE, TESTS), kind, limits).passed,
            }
    return results


def public_cases(data: Path) -> dict[str, Any]:
    """The cases of public reports: how many are as wanted, and how many wrong answers score 1."""
    lines = (data / CASES).read_text().splitlines()
    cases = [json.loads(line) for line in lines]
    scores = [case_score(case) for case in cases]
    as_wanted = [score == case["want"] for score, case in zip(scores, cases, strict=True)]
    return {
        "cases": len(cases),
        "as_wanted": sum(as_wanted),
        "share_as_wanted": round(sum(as_wanted) / len(cases), 4),
        "wrong_that_score_1": sum(score == 1 and case["want"] != 1 for score, case in zip(scores, cases, strict=True)),
        "otherwise": [
            f"{case['task']} {case['completion'][-80:]!r} of {case['answer']!r}: {score}, not {case['want']}"
            for case, score, right in zip(cases, scores, as_wanted, strict=True)
            if not right
        ],
    }


def case_score(case: Row) -> float | None:
    """A case's score, as `stiefel grade` would give it; None where it gives none."""
    task = find_given(case["task"])
    record = {"completion": case["completion"], "answer": case["answer"], **(case.get("row") or {})}
    (graded_line,) = results_of(task, [given(task, record, "a case")])
    return graded_line.score


def latex_pairs(count: int, seed: int) -> list[Pair]:
    """Answers that need the parser, every content another: two thirds equal, in another form, one third not."""
    rng, pairs = random.Random(seed), []
    while len(pairs) < count:
        a, b, c = rng.randint(2, 999), rng.randint(2, 99), rng.randint(2, 99)
        forms = (
            (f"\\frac{{{a}}}{{{b}}}", f"{a}/{b}", f"\\frac{{{b}}}{{{a}}}"),
            (f"{b}\\sqrt{{{a}}}", f"\\sqrt{{{b * b * a}}}", f"{a}\\sqrt{{{b}}}"),
            (f"{a}, {a + b}", f"{a + b} \\text{{ and }} {a}", f"{a}, {b - 1}"),
            (f"(x+{b})^2", f"x^2 + {2 * b}x + {b * b}", f"x^2 + {b}x + {b * b}"),
            (f"[{b}, {b + c})", f"\\left[{b}, {b + c}\\right)", f"({b}, {b + c}]"),
            (f"{a}\\pi", f"\\pi \\cdot {a}", f"{a}"),
            (f"x={a}", f"{a}", f"y={a}"),
            (f"{b}\\frac{{1}}{{{c}}}", f"\\frac{{{b * c + 1}}}{{{c}}}", f"\\frac{{{b}}}{{{c}}}"),
            (f"{a}x+{b}y", f"{b}y + {a}x", f"{b}x + {a}y"),
            (f"{a}+{b}i", f"{b}i + {a}", f"{a}-{b}i"),
        )
        for gold, equal, other in forms:
            pairs += [
                (f"Thus \\boxed{{{gold}}}", gold),
                (f"So \\boxed{{{equal}}}", gold),
                (f"\\boxed{{{other}}}", gold),
            ]
    return pairs[:count]


def main() -> None:
    """Everything, or with --small a taste of the timings only."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", default=os.environ.get("STIEFEL_DATA"))
    parser.add_argument("--small", action="store_true", help="few rows, nothing kept")
    arguments = parser.parse_args()
    if arguments.data is None:
        sys.exit("name the directory of the data, as an argument or by STIEFEL_DATA")
    data = Path(arguments.data)
    by_file = {gold_set.file: gold_set for gold_set in SETS}
    numbers = right_pairs(by_file["gsm8k_test.jsonl"], data)
    programs = right_pairs(by_file["mbpp.jsonl"], data)
    if arguments.small:
        numbers, programs = numbers[:400], programs[:24]
    results: dict[str, Any] = {} if arguments.small else {s.file: counted(s, data) for s in SETS}
    for name, pairs in (("gsm8k", numbers), ("latex", latex_pairs(300 if arguments.small else 3_000, seed=0))):
        plain, one, two = plain_per_second(pairs), answers_per_second(pairs, 1), answers_per_second(pairs, 2)
        results[name] = {
            "answers": len(pairs),
            "plain_per_second": round(plain, 1),
            "one_worker_per_second": round(one, 1),
            "two_workers_per_second": round(two, 1),
            "one_worker_against_plain": round(one / plain, 2),
        }
    results["code"] = {
        "sandbox": find_sandbox().name,
        "programs": len(programs),
        "programs_per_second": round(programs_per_second(programs), 1),
    }
    results["public_cases"] = public_cases(data)
    if not arguments.small:
        results["hand_written"], results["hostile_programs"] = hand_written(), hostile_programs()
    results["hostile_strings"] = strings_survived(100 if arguments.small else 10_000)
    if arguments.small:
        print(json.dumps(results, indent=1))
    else:
        keep("grade", results)


if __name__ == "__main__":
    main()
