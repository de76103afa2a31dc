"""Machines that are to go: a spot machine that its cloud takes back, or one that is no longer needed."""

from ray._private.state import state


def drained_machines() -> set[str]:
    """Ids of those that Ray was told to drain, by an autoscaler, an operator or `ray drain-node`."""
    return set(state.get_draining_nodes())
