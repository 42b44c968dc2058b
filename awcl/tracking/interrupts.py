"""Ctrl-C and SIGTERM that wait for the end of what must not be cut off."""

import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from awcl.threads import in_a_thread

HEARD = "interrupt heard: MLflow is written to the end first; Ctrl-C once more ends it at once"


def to_its_end(do: Callable[[], None]) -> None:
    """Calls `do`. A signal meanwhile is told, and answered at its end, also where it fails.

    A second Ctrl-C is answered at once; what `do` still does then ends with the process. It is
    called in a thread, because Python answers no signal while SQLite waits for a lock. Signals are
    answered in the main thread; in any other there is nothing to hold back.
    """
    if threading.current_thread() is not threading.main_thread():
        do()
        return
    came: list[int] = []

    def hear(number: int, frame: Any) -> None:
        came.append(number)
        if len(came) == 1:
            print(f"awcl: {HEARD}", file=sys.stderr, flush=True)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt

    before = {n: signal.signal(n, hear) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        in_a_thread(do).result()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:  # it wins over what `do` raised
            signal.raise_signal(came[0])
