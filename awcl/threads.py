"""Work beside the thread that waits for it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_a_thread(do: Callable[[], T]) -> Future[T]:
    """What `do` comes to, or raises. The thread holds up no end of the process, as that of a pool
    of `concurrent.futures` would."""
    ended: Future[T] = Future()

    def work() -> None:
        try:
            ended.set_result(do())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            ended.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return ended
