"""The tables of docs/rewards.md: what the graders were measured to do, from the kept result."""

from __future__ import annotations

from typing import Any

from scripts.results import results

FILES = {
    "gsm8k_test.jsonl": ("GSM8K, test: golds", "1,319"),
    "svamp_test.jsonl": ("SVAMP: golds", "1,000"),
    "mmlu_stem_500.jsonl": ("MMLU, STEM: golds", "500"),
    "humaneval.jsonl": ("HumanEval: canonical solutions", "164"),
    "mbpp.jsonl": ("MBPP: reference programs", "972 of 974"),
}
# why a reference program is not accepted, by file and row
EXPLAINED = {
    (
        "mbpp.jsonl",
        "123",
    ): "`amicable_numbers_sum(9999)` tries every divisor of every number below 10,000, and of the sums: "
    "more than the 5 s of CPU time that a program has.",
}


def grade_table() -> str:
    """Golds accepted, golds made wrong refused, attacks and speed, each beside what was aimed at; every refusal."""
    found = results("grade")
    sets: list[tuple[str, str, str]] = []
    for file, (name, aim) in FILES.items():
        kept = found[file]
        sets.append((f"{name} accepted", of(kept["accepted"], kept["rows"]), aim))
    wrong, refused = (sum(found[file][key] for file in FILES) for key in ("made_wrong", "refused"))
    written, strings, code = found["hand_written"], found["hostile_strings"], found["code"]
    rows = [
        *sets,
        ("golds made wrong, refused", of(refused, wrong), "all, of ≥ 5,000"),
        ("hand-written equivalences, accepted", of(written["accepted"], written["equivalences"]), "all, of ≥ 60"),
        ("hand-written non-equivalences, refused", of(written["refused"], written["non_equivalences"]), "all, of ≥ 60"),
        *public_cases(found),
        *(
            (f"hostile programs scored 0 ({kind})", of(kept["refused"], kept["programs"]), "all, of ≥ 30")
            for kind, kept in found["hostile_programs"].items()
        ),
        (
            "hostile strings graded; out of their 2 s; workers lost",
            f"{of(strings['graded'], strings['strings'])}; {strings['out_of_time']}; {strings['workers_replaced']}",
            "all of 10,000",
        ),
        *(row for name in ("gsm8k", "latex") for row in speeds(name, found[name])),
        (f"programs a second ({code['sandbox']})", f"{code['programs_per_second']:.1f}", "≥ 8"),
    ]
    lines = ["| | measured | needed |", "|---|---:|---:|", *(f"| {' | '.join(row)} |" for row in rows)]
    machine = found["machine"]
    where = f"{machine['device']}, {machine['cores']} cores: `python -m benchmarks.grade DATA`."
    return "\n".join([*lines, "", where, *refusals(found), ""])


def public_cases(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The cases of public reports, where the kept result has them."""
    if "public_cases" not in found:
        return []
    kept = found["public_cases"]
    share = f"{of(kept['as_wanted'], kept['cases'])} ({100 * kept['share_as_wanted']:.1f}%)"
    return [
        ("cases of public reports, graded as wanted", share, "≥ 96%"),
        ("wrong answers among them that score 1", str(kept["wrong_that_score_1"]), "0"),
    ]


def of(count: int, total: int) -> str:
    """`1,319 of 1,319`."""
    return f"{count:,} of {total:,}"


def speeds(name: str, kept: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Answers a second, and against math-verify called plainly."""
    kind = {"gsm8k": "GSM8K's answers", "latex": "answers in LaTeX"}[name]
    return [
        (f"{kind} a second, two workers", f"{kept['two_workers_per_second']:,.0f}", "≥ 300"),
        (
            f"{kind} a second, one worker; math-verify called plainly",
            f"{kept['one_worker_per_second']:,.0f}; {kept['plain_per_second']:,.0f} "
            f"({kept['one_worker_against_plain']:.2f}×)",
            "≥ 0.9×",
        ),
    ]


def refusals(found: dict[str, Any]) -> list[str]:
    """A line for each gold that is not accepted, with the reason; each has to be explained."""
    lines = []
    for file, (name, _) in FILES.items():
        for row in found[file]["not_accepted"]:
            lines.append(f"- {name.partition(':')[0]} {row}: {EXPLAINED[file, row]}")
    return ["", "Not accepted:", "", *lines] if lines else []
