"""What each command of the command line does; options in, exit code out.

Imports stand inside the functions, so that a command waits for nothing that it does not use.
"""

from awcl.commands.data import audit, frames, pack, phantom
from awcl.commands.encoders import embed, export, pretrain
from awcl.commands.evaluating import evaluate
from awcl.commands.studies import (
    study_evaluate,
    study_propose,
    study_register,
    study_report,
    study_run,
    study_status,
    study_sync,
)
from awcl.commands.submitting import study_submit

__all__ = [
    "audit", "embed", "evaluate", "export", "frames", "pack", "phantom", "pretrain",
    "study_evaluate", "study_propose", "study_register", "study_report", "study_run",
    "study_status", "study_submit", "study_sync",
]  # fmt: skip
