"""The errors that have a name: what a user can cause, and trainings that cannot go on."""


class InputError(ValueError):
    """Bad settings or bad input. The message is one line: which setting or file, what was found, what was expected,
    what to do. Jobs print it and exit with status 2, without a traceback."""


class TrainingDiverged(RuntimeError):
    """The loss or the weights are no longer finite. The same steps from the same checkpoint would end so again."""


class RunLost(RuntimeError):
    """A process that a run cannot go on without has ended. The same command goes on from the newest checkpoint."""
