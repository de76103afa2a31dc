"""The error a user can cause: jobs print its one line and exit with status 2, without a traceback."""


class InputError(ValueError):
    """Bad settings or bad input. The message is one line: which setting or file, what was found, what was expected,
    what to do."""
