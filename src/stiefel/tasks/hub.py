"""A data set of the hub, or a directory laid out like one → records, and the commit that they are of."""

from __future__ import annotations

import re
from pathlib import Path

from datasets import Dataset, load_dataset
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

from ..errors import UserError

COMMIT = re.compile(r"[0-9a-f]{40}")


def read_hub(data: str, split: str, config: str = "", revision: str = "", instead: str = "") -> tuple[Dataset, str]:
    """(One split of a data set, its commit); files are read as data, no code of it is run.

    Where the hub is out of reach, a copy in the client's cache still serves. Raises UserError where there is none,
    `instead` being what to do then.
    """
    try:
        commit = "" if Path(data).is_dir() else resolved(data, revision)
        table = load_dataset(data, config or None, split=split, revision=commit or revision or None)
    except (HTTPError, OSError, ValueError) as error:
        what = f"{data}, configuration {config}," if config else data
        raise UserError(
            f"no data set {what} with a split {split}: not a file here, and the hub did not give it",
            (str(error).splitlines() or [type(error).__name__])[0],
            instead or "check task.data, task.split and the connection, or give a .jsonl file",
        ) from error
    return table, commit or cached_commit(table)


def resolved(data: str, revision: str) -> str:
    """The commit that a branch, a tag or nothing at all stands for now; empty where the hub cannot be asked."""
    try:
        commit = HfApi().dataset_info(data, revision=revision or None).sha
    except HfHubHTTPError:  # it answered: there is no such data set or revision
        raise
    except (OfflineModeIsEnabled, HTTPError):
        return ""
    assert commit is not None, "the hub states every data set's commit"
    return commit


def cached_commit(table: Dataset) -> str:
    """The commit in the path under which the client keeps a data set; empty for one that has none."""
    paths = [file["filename"] for file in table.cache_files]
    found = [commit for path in paths for commit in COMMIT.findall(path)]
    return str(found[0]) if found else ""
