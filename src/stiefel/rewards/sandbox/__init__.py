"""A program and its tests in a sandbox → whether they passed."""

from __future__ import annotations

from .find import find_sandbox
from .run import Job, Limits, SandboxError, Verdict, run_job

__all__ = ["Job", "Limits", "SandboxError", "Verdict", "find_sandbox", "run_job"]
