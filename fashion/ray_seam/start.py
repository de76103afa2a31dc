"""A Ray that a job starts for itself, on one machine, is spared what a cluster needs: a dashboard, a monitor that starts
machines, and one that forwards log files. On two cores they take a fifth of the time until training begins."""

import signal
import threading
from contextlib import ExitStack, contextmanager
from unittest.mock import patch


@contextmanager
def lean_start():
    """`ray.init` in this block starts no dashboard, no autoscaler and no log monitor, and the smallest agent."""
    from ray._private import utils
    from ray._private.node import Node

    with ExitStack() as stack:
        for process in ("start_api_server", "start_monitor", "start_log_monitor"):
            stack.enter_context(patch.object(Node, process, lambda self, **_: None))
        stack.enter_context(patch.object(utils, "get_dashboard_dependency_error", lambda: "not wanted"))
        yield


@contextmanager
def stoppable_start():
    """SIGTERM means what it meant before, also while `ray.init` in this block joins its cluster: Ray's core takes it for a
    crash, prints a stack and aborts. One that comes meanwhile waits until the core is there."""
    from ray._private import worker

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler, connect = signal.getsignal(signal.SIGTERM), worker.connect

    def deaf(*arguments, **named):
        # After Ray's processes have started, which would inherit the mask; the core's threads may.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            return connect(*arguments, **named)
        finally:
            signal.signal(signal.SIGTERM, handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    with patch.object(worker, "connect", deaf):
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, handler)
