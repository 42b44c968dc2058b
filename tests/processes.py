"""Which processes there are, by what started them."""

import os
from collections.abc import Callable, Iterator

import psutil


def of_session(leader: int) -> list[psutil.Process]:
    """Those of a session: Ray's lead process groups of their own, but stay in it."""
    return list(_alive(lambda process: os.getsid(process.pid) == leader))


def with_variable(
    name: str, value: str, but: Callable[[psutil.Process], bool] = lambda process: False
) -> list[psutil.Process]:
    """Those that have inherited an environment variable, except this one and those of `but`."""

    def wanted(process: psutil.Process) -> bool:
        inherited = process.pid != os.getpid() and process.environ().get(name) == value
        return inherited and not but(process)

    return list(_alive(wanted))


def _alive(wanted: Callable[[psutil.Process], bool]) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if wanted(process) and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (psutil.Error, ProcessLookupError):  # gone meanwhile, or somebody else's
            continue
