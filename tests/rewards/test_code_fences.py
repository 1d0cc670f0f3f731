"""Where a program stands in a completion: fences of any tag, within a line, opened by the prompt, or none."""
# ruff: noqa: E501  a case a line

from __future__ import annotations

import pytest

from stiefel.rewards.programs.program import find_program

ADD = "def add(a, b):\n    return a + b"
TAGS = (
    *(
        "",
        "python",
        "py",
        "python3",
        "py3",
        "Python",
        "Python 3",
        "Python3",
        "PYTHON",
        "python3.11",
        "py2",
        "code",
        "Code",
    ),
    *(
        "python code",
        "ipython",
        "ipython3",
        "python-code",
        "pythoncode",
        "{.python}",
        "python:",
        "tool_code",
        "python,run",
    ),
    *("python title='a.py'", "solution"),
)
FORMS = {
    "a fence behind words": f"Here is the code: ```python\n{ADD}\n```",
    "a fence right behind words": f"The code:```py3\n{ADD}\n```",
    "words behind the closing fence": f"```python\n{ADD}\n``` It works.",
    "a closing fence behind code": f"```python\n{ADD}```",
    "a closing fence between code and words": f"```python\n{ADD}``` It works.",
    "all on one line": "It is ```python def add(a, b): return a + b``` here.",
    "all on one line, without a language": "```def add(a, b): return a + b```",
    "the language alone before the code": f"python\n{ADD}",
    "the language, code, and the closing fence": f"python\n{ADD}\n```\nIt adds.",
    "another language's name": f"py3\n{ADD}```",
    "a capital, and empty lines": f"\nPython\n\n{ADD}\n```",
    "a fence that the prompt opened": f"{ADD}\n```\nIt adds.",
    "one that closes behind code": f"{ADD}```\nIt adds.",
    "tildes": f"~~~python\n{ADD}\n~~~",
    "four backticks": f"````python\n{ADD}\n````",
    "a list item": "1. So:\n   ```python\n   def add(a, b):\n       return a + b\n   ```",
    "a text before it": f"```text\na plan\n```\n```python\n{ADD}\n```",
    "a shell before it": f"```bash\npip install x\n```\n```python\n{ADD}\n```",
    "its output after it": f"```python\n{ADD}\n```\nOutput:\n```\n5\n```",
    "a name in backticks before it": f"Use ```add``` so:\n```python\n{ADD}\n```",
    "never closed": f"```python\n{ADD}\n",
    "code on the fence's own line": f"```python {ADD}\n```",
    "the same, without a language": f"```{ADD}\n```",
    "the same, behind words": f"It is: ```python {ADD}\n```",
    "the same, all of it": "```python def add(a, b): return a + b\n```",
    "the same, never closed": f"```python3 {ADD}",
    "an import on the fence's own line": f"```python import os\n{ADD}\n```",
    "a title on the fence's line": f"```python title=a.py\n{ADD}\n```",
    "a tag": f"Here:\n<code>\n{ADD}\n</code>\nIt adds.",
    "a tag around it": f"The function is <code>{ADD}</code> and it works.",
    "a tag with a language": f'<pre><code class="language-python">\n{ADD}\n</code></pre>',
    "a tag behind another": f"Use <code>add</code>:\n<code>\n{ADD}\n</code>",
    "a tag that is not closed": f"<code>\n{ADD}\n",
    "a tag for the answer": f"<answer>\n{ADD}\n</answer>",
    "a fence within a tag": f"<code>\n```python\n{ADD}\n```\n</code>",
    "a tag before a fence": f"Do not use <code>sum</code>.\n\n```python\n{ADD}\n```",
    "a tag in a text": "def add(a, b):\n    s = '<code>def f(): pass</code>'\n    return a + b\n",
    "backticks in a docstring": '```python\ndef add(a, b):\n    """Use ```add``` so."""\n    return a + b\n```',
    "backticks in a text": "```python\ndef add(a, b):\n    s = '``` x'\n    return a + b\n```",
}


def adds(program: str) -> bool:
    names: dict[str, object] = {}
    exec(program, names)
    return names["add"](2, 3) == 5  # type: ignore[operator]


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_that_names_python_or_only_code(tag: str) -> None:
    assert adds(find_program(f"Sure.\n```{tag}\n{ADD}\n```\nDone.", ["add"]))


@pytest.mark.parametrize("form", FORMS)
def test_the_program_is_found(form: str) -> None:
    assert adds(find_program(FORMS[form], ["add"]))


@pytest.mark.parametrize("tag", ["javascript", "text", "bash", "json", "cpp", "ruby"])
def test_a_block_of_another_language_is_no_program(tag: str) -> None:
    assert find_program(f"```python\nx = 1\n```\n```{tag}\ny = 2\n```") == "x = 1\n"


def test_what_a_program_prints_is_not_the_program() -> None:
    program = "n = int(input())\nprint(n)\n"
    assert find_program(f"```python\n{program}```\nIt prints\n```\n4\n```") == program
    assert find_program(f"```\n{program}```") == program
    assert find_program(f"python\n{program}") == program


LONG = ["`" * 10**6, "``` x\n" * 10**5, "```python x```" * 10**5, "a```\n" * 10**5, "~~~\n" * 10**5, "python\n" * 10**5, "``` " * 10**5, "<code>" * 10**5, "```python def " * 10**5, "<code>x</code>\n" * 10**5]  # fmt: skip


@pytest.mark.parametrize("text", LONG, ids=[text[:8] for text in LONG])
def test_a_long_completion_is_read_once(text: str) -> None:
    find_program(text, ["add"])  # a quadratic reading takes longer than a test may
