"""A Ray that a job starts for itself, on one machine, is spared what a cluster needs: a dashboard, a monitor that starts
machines, and one that forwards log files. On two cores they take a fifth of the time until training begins."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch


@contextmanager
def lean_start() -> Iterator[None]:
    """`ray.init` in this block starts no dashboard, no autoscaler and no log monitor, and the smallest agent."""
    from ray._private import utils
    from ray._private.node import Node

    with ExitStack() as stack:
        for process in ("start_api_server", "start_monitor", "start_log_monitor"):
            stack.enter_context(patch.object(Node, process, lambda self, **_: None))
        stack.enter_context(patch.object(utils, "get_dashboard_dependency_error", lambda: "not wanted"))
        yield


@contextmanager
def stoppable_start() -> Iterator[None]:
    """SIGTERM means what it meant before: while `ray.init` runs in this block, where Ray would exit with a status of its
    own, and after it, where Ray's core would take it for a crash."""
    from ray._private import utils

    handler = signal.getsignal(signal.SIGTERM)
    try:
        with patch.object(utils, "set_sigterm_handler", lambda _: None):
            yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def session_folder() -> str:
    """Where the Ray that runs keeps its sockets and logs on this machine."""
    from ray._private import worker

    return worker.global_worker.node.get_session_dir_path()
