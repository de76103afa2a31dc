"""Join the Ray cluster that is there, or start one on this machine; quiet either way."""

import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import ModuleType
from typing import Any

from cluster.alike import check_alike
from fashion.capacity import OWN
from fashion.processes import descendants, kill, ray_runs
from fashion.ray_seam.memory import RETRIES, TRIES, quiet_core
from fashion.ray_seam.start import lean_start, session_folder, stoppable_start

log = logging.getLogger("fashion.cluster")

# A laptop's two cores are fewer than Ray's own bookkeeping wants: with four logical CPUs nothing starves (they are
# only counted, not pinned).
LEAST_CPUS = 4

QUIET = {
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_DATA_LOG_LEVEL": "CRITICAL",  # it sets up its own logging when it is imported, which may be late
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    TRIES: str(RETRIES),
}


@contextmanager
def ray_cluster(*, cpus: int | None = None) -> Iterator[ModuleType]:
    """A running Ray for the length of the block: the cluster of RAY_ADDRESS (as `ray job submit` sets it), or a new one
    on this machine that ends with the block. `cpus`: logical CPUs of a new one. One that this process has started or joined
    already is taken as it is, and stays."""
    if ray_runs():
        yield sys.modules["ray"]
        return
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    joined = "RAY_ADDRESS" in os.environ
    count = cpus or max(LEAST_CPUS, os.cpu_count() or 1)
    if not joined:
        # Ray warns of four times as many processes as may start at once, by default as many as there are cores; a sweep
        # has more for good reasons.
        os.environ.setdefault("RAY_worker_maximum_startup_concurrency", str(2 * count))
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # it listens on this machine alone and ends with the job
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")  # nobody takes a laptop away
        # Records of a dashboard that is not there, a hundredth of a laptop's time.
        os.environ.setdefault("RAY_enable_metrics_collection", "0")
        os.environ.setdefault("RAY_task_events_report_interval_ms", "0")
        os.environ[OWN] = "1"
    import ray

    _mute()
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not joined:
        options |= {"address": "local", "num_cpus": count, "include_dashboard": False}
    before = descendants()
    with (
        warnings.catch_warnings(),
        silent_stderr(),
        stoppable_start(),
        nullcontext() if joined else lean_start(),
    ):
        warnings.simplefilter("ignore")
        ray.init(**options)
    log.debug(f"Ray {'joined' if joined else 'started'}: {ray.cluster_resources()}")
    folder = None if joined else session_folder()
    try:
        if joined:
            check_alike()
        with quiet_core():
            yield ray
    except BaseException:
        folder = None  # what failed is told by its logs too
        raise
    finally:
        started = descendants() - before
        ray.shutdown()
        if not joined:  # a Ray that ends as soon as it has started leaves its agents, who wait for it for minutes
            kill(started)
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop(OWN, None)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Ray's C++ core says on stderr that it was told to be silent; what goes wrong is raised as a Python exception."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _mute() -> None:
    for name in ("ray", "ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # It prints the traceback of what it raises. Where it is imported later, its own setting, above, does this.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"ray\..*")
