"""The processes of a job by what they are to it, and what is done to them."""

import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from fashion.processes import kill, with_environment
from tests.cluster.loopback import Loopback

MARK = "FASHION_SOAK"
# Kind -> titles of processes. Those of a kind may be many, of which one is taken, or none in some jobs.
TITLES = {
    "training worker": r"ray::RayTrainWorker",
    "feed actor": r"ray::MapWorker",
    "coordinator": r"ray::(SplitCoordinator|DatasetManager|_AutoscalingCoordinatorActor|_StatsActor)",
    "controller": r"ray::(TrainController|Board|SynchronizationActor)",
    "task": r"ray::(?!IDLE|\w*Agent|RayTrainWorker|MapWorker|Split|DatasetManager|TrainController|Board|Sync|_|Placement)\w",
    "raylet": r".*raylet/raylet ",
}
STOPPED = "training worker, feed actor or task, stopped"
NODE, DRIVER = "node", "driver"
STOPPED_S = (8.0, 60.0)  # either
# Of a Ray that goes on, these may stay when a job has ended.
OF_RAY = re.compile(
    r"ray::(IDLE|\w*Agent|_StatsActor|_AutoscalingCoordinatorActor|PlacementGroupCleaner|ActorLocationTracker)"
)


class Processes:
    """Of one try of a job: its own, and those of the cluster that it was sent to, if any."""

    def __init__(self, driver: subprocess.Popen, mark: str, cluster: Loopback | None, cluster_mark: str):
        self.driver, self.mark, self.cluster, self.cluster_mark = driver, mark, cluster, cluster_mark

    def all(self) -> list[psutil.Process]:
        found = with_environment(MARK, self.mark)
        return found + (with_environment(MARK, self.cluster_mark) if self.cluster else [])

    def titled(self, pattern: str) -> list[psutil.Process]:
        return [p for p in self.all() if p.pid != self.driver.pid and re.match(pattern, title(p))]

    def kinds(self) -> list[str]:
        """What can be hit."""
        return [DRIVER, STOPPED, *(kind for kind in TITLES if kind != "raylet"), NODE if self.cluster else "raylet"]

    def hit(self, kind: str, draw: random.Random) -> bool:
        """At a random moment once there is one of the kind; False where the job ended before."""
        if kind == DRIVER:
            return self.lives_for(draw.uniform(0.5, 12)) and self._ended(self.driver.kill)
        pattern = TITLES.get(kind) or "|".join(TITLES[name] for name in ("training worker", "feed actor", "task"))
        while not self.titled(pattern):
            if not self.lives_for(0.2):
                return False
        if not self.lives_for(draw.uniform(0, 3)):
            return False
        if kind == NODE:
            return self._ended(self.cluster.take_away)
        if not (found := self.titled(pattern)):
            return self.hit(kind, draw)
        victim = draw.choice(found)
        if kind != STOPPED:
            return self._ended(victim.kill)
        with suppress(psutil.Error):
            victim.send_signal(signal.SIGSTOP)
            self.lives_for(draw.choice(STOPPED_S))
            victim.send_signal(signal.SIGCONT)
        return True

    def lives_for(self, seconds: float) -> bool:
        ends = time.monotonic() + seconds
        while self.driver.poll() is None and time.monotonic() < ends:
            time.sleep(0.05)
        return self.driver.poll() is None

    @staticmethod
    def _ended(by: Callable[[], object]) -> bool:
        try:
            by()
        except psutil.Error:
            return False
        return True

    def left(self, seconds: float = 60.0) -> list[str]:
        """Titles of those who are still there so long after the job's end; they are killed."""
        ends = time.monotonic() + seconds
        while (found := self._ours()) and time.monotonic() < ends:
            time.sleep(0.2)
        names = [title(process)[:60] for process in found]
        kill(found)
        return names

    def _ours(self) -> list[psutil.Process]:
        found = with_environment(MARK, self.mark)
        if self.cluster:
            found += [p for p in self.titled("ray::") if not OF_RAY.match(title(p))]
        return found


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.Error:
        return ""


def memory(processes: list[psutil.Process]) -> int:
    """Bytes of all of them together."""
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total
