"""A data set of the hub, or a directory laid out like one → records, and the commit that they are of."""

from __future__ import annotations

import re

from datasets import Dataset, load_dataset_builder
from huggingface_hub.errors import HfHubHTTPError

from ..errors import UserError

COMMIT = re.compile(r"[0-9a-f]{40}")


def read_hub(data: str, split: str, config: str = "", revision: str = "", instead: str = "") -> tuple[Dataset, str]:
    """(One split of a data set, the commit that it is of, "" for a directory); its files are read as data.

    No code of the data set is run. Where the hub is out of reach, a copy in the client's cache still serves. Raises
    UserError where there is none, `instead` being what to do then.
    """
    try:
        builder = load_dataset_builder(data, config or None, revision=revision or None)
        builder.download_and_prepare()
        table = builder.as_dataset(split=split)
    except (HfHubHTTPError, OSError, ValueError, RuntimeError) as error:  # the last: a data set that is a program
        what = f"{data}, configuration {config}," if config else data
        what += f" at revision {revision}" if revision else ""
        raise UserError(
            f"no data set {what} with a split {split}: not a file here, and the hub did not give it",
            " ".join([line.strip() for line in str(error).splitlines() if line.strip()][:2]) or type(error).__name__,
            instead or "check task.data, task.split and the connection, or give a .jsonl file",
        ) from error
    commit = builder.hash or ""  # of a data set of the hub, `datasets` keeps it under its commit
    return table, commit if COMMIT.fullmatch(commit) else ""
