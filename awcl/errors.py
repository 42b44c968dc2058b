"""The exception for what a user got wrong, and the hint that goes with a wrong name."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input: the message is one line that says what, where (file, row, field), what to do.

    The command line prints it without a trace-back; a trace-back is for our own bugs.
    """


class NotFiniteError(InputError):
    """What a run computes is not finite; training again would end there again."""


class NotAtHandError(InputError):
    """Weights that somebody else has: not on this machine, and nothing is downloaded."""


class NoFramesError(InputError):
    """The frames lack what a task judges, such as masks, or a method pairs; others may hold it."""


class EvaluationError(InputError):
    """Evaluations of a study failed; all else of it is done and stored."""


def nearest(name: str, known: Iterable[str]) -> str:
    """'; did you mean ...?' where a known name or two are near, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=2, cutoff=0.5)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
