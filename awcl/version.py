"""Which code runs: the release, and its commit where it is a checkout."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import awcl


@cache
def code_version() -> str:
    """`0.1.0+2d94b29f07aa`: the release and the commit; `.dirty` where files differ from it.

    The release alone where there is no checkout, or no git that may read it.
    """
    root = Path(awcl.__file__).parents[1]
    if not (root / ".git").exists() or shutil.which("git") is None:
        return awcl.__version__
    describe = ["describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=.dirty"]
    command = ["git", "--no-optional-locks", "-C", str(root), *describe]
    told = subprocess.run(command, capture_output=True, text=True)
    commit = told.stdout.strip()
    return f"{awcl.__version__}+{commit}" if told.returncode == 0 else awcl.__version__
