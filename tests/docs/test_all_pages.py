from pathlib import Path

import scripts
from scripts.__main__ import PAGES


def test_every_script_that_writes_a_page_is_of_those_that_make_docs_runs() -> None:
    writing = {
        path.stem for path in Path(scripts.__path__[0]).glob("*.py") if "\ndef write() -> None:" in path.read_text()
    }
    assert sorted(page.__name__.removeprefix("scripts.") for page in PAGES) == sorted(writing)
