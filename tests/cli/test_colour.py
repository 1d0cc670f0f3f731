"""Colours are for terminals, and for those who want them."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from contextlib import suppress

COLOUR = re.compile(rb"\x1b\[[0-9;]*(?:3[0-7]|38|9[0-7])[0-9;]*m")
BAR = (
    "from stiefel.progress import layer_progress\nwith layer_progress('solving') as p: [p('a', n, 9) for n in range(9)]"
)
VERBS = """
from stiefel.cli import main
for verb in ("methods", "help", "doctor"):
    try:
        main([verb])
    except SystemExit as ended:
        assert ended.code == 0, verb
"""


def on_a_terminal(code: str, **environment: str) -> bytes:
    """What a program writes on a pseudo-terminal."""
    ours, theirs = pty.openpty()
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdout=theirs, stderr=theirs, env={**kept, "TERM": "xterm", **environment}
    ) as process:
        os.close(theirs)
        written = b""
        with suppress(OSError):  # how Linux ends a pseudo-terminal that nobody writes to any more
            while piece := os.read(ours, 65536):
                written += piece
    os.close(ours)
    assert process.returncode == 0, written
    return written


def test_no_color_is_honoured_and_without_it_a_bar_has_colours() -> None:
    assert COLOUR.search(on_a_terminal(BAR))
    assert not COLOUR.search(on_a_terminal(BAR, NO_COLOR="1"))


def test_a_pipe_gets_no_escape_sequences() -> None:
    done = subprocess.run([sys.executable, "-c", VERBS], capture_output=True, check=True)
    assert b"\x1b" not in done.stdout + done.stderr
