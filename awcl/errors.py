"""The exception for what a user got wrong."""


class InputError(ValueError):
    """Bad input: the message is one line that says what, where (file, row, field), what to do.

    The command line prints it without a trace-back; a trace-back is for our own bugs.
    """


class NotFiniteError(InputError):
    """The loss of a run is not finite; training again would end there again."""
