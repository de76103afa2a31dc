"""A Ray cluster of two nodes on this machine, as `ray start` makes it, with its dashboard and a token; and its jobs."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parents[2]
RAY = str(Path(sys.executable).with_name("ray"))
HEAD_CPUS, OTHER_CPUS = 5, 3
_LISTED = ("actors", "jobs", "nodes", "objects", "placement_groups", "runtime_envs", "tasks", "workers")
STATE = (
    *(f"api/v0/{what}?detail=1&limit=10000" for what in _LISTED), "api/jobs/", "api/cluster_status", "logical/actors",
    "nodes?view=summary",
)  # fmt: skip
WAIT_S = 300  # for what takes seconds on a machine that does nothing else


class Loopback:
    """Use as a context. A node is a process group of its own, so that it can be taken away."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="ray")  # a short path: sockets lie in it
        self.port, dashboard, client = free_port(), free_port(), free_port()
        self.address = f"http://127.0.0.1:{dashboard}"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # a job's `python` is this one
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_JOB_STOP_WAIT_TIME_S": "60",  # the machine that tests this may be a slow one
            "RAY_memory_monitor_refresh_ms": "0",
            "RAY_task_events_max_num_task_in_gcs": "1000",
            "RAY_maximum_gcs_destroyed_actor_cached_count": "1000",
        }
        self.head_options = [
            "--head", f"--port={self.port}", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}",
            "--dashboard-host=127.0.0.1", f"--temp-dir={self.folder}", f"--num-cpus={HEAD_CPUS}",
        ]  # fmt: skip
        self.nodes: list[subprocess.Popen] = []

    def __enter__(self):
        try:
            self._start("head", *self.head_options)
            self.wait(lambda: self._ask("api/jobs/") == [], "dashboard")
            self.add()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *fault):
        while self.nodes:
            self.take_away()
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, cpus: int = OTHER_CPUS, **env: str) -> None:
        """Another node, which is there when this returns; `env`: of its own."""
        before = set(self.alive())
        self._start("other", f"--address=127.0.0.1:{self.port}", f"--num-cpus={cpus}", env=env)
        self.wait(lambda: bool(self.alive().keys() - before), "other node")

    def alive(self) -> dict[str, dict]:
        """Id of each node that is alive, and what the dashboard says of it."""
        nodes = [node["raylet"] for node in self._ask("nodes?view=summary")["data"]["summary"]]
        return {node["nodeId"]: node for node in nodes if node["state"] == "ALIVE"}

    def take_away(self) -> None:
        """The newest node dies, as a spot machine does."""
        node = self.nodes.pop()
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()

    def submit(self, name: str, *command: str, wait: bool = True) -> subprocess.CompletedProcess:
        """`ray job submit`, from a folder with the code."""
        options = [f"--address={self.address}", f"--submission-id={name}", "--working-dir=."]
        options += [] if wait else ["--no-wait"]
        words = [RAY, "job", "submit", *options, "--", *command]
        return subprocess.run(words, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=2 * WAIT_S)

    def stop(self, name: str) -> None:
        """`ray job stop`, by the same request, which takes no seconds to start; returns when the job has ended."""
        self._ask(f"api/jobs/{name}/stop", "POST")
        self.wait(lambda: self.job(name)["status"] not in ("PENDING", "RUNNING"), f"end of {name}")

    def job(self, name: str) -> dict:
        """`ray job status`: `status`, `driver_exit_code` and more."""
        return self._ask(f"api/jobs/{name}")

    def state(self) -> dict[str, str]:
        """What Ray tells anybody with the token, address by address: actors, tasks, runtime environments and so on."""
        return {what: json.dumps(self._ask(what)) for what in STATE}

    def logs(self, name: str) -> str:
        return self._ask(f"api/jobs/{name}/logs")["logs"]

    def _ask(self, what: str, method: str = "GET"):
        headers = {"Authorization": f"Bearer {self.env['RAY_AUTH_TOKEN']}"}
        request = urllib.request.Request(f"{self.address}/{what}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            return json.load(answer)

    def _start(self, name: str, *options: str, env: Mapping[str, str] = MappingProxyType({})) -> None:
        common = [
            "--object-store-memory=100000000", "--min-worker-port=0", "--max-worker-port=0", "--disable-usage-stats",
            f"--dashboard-agent-listen-port={free_port()}", f"--metrics-export-port={free_port()}", "--block",
        ]  # fmt: skip
        with open(f"{self.folder}/{name}.log", "w") as log:
            self.nodes.append(
                subprocess.Popen(
                    [RAY, "start", *options, *common],
                    env=self.env | env,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def wait(self, true: Callable[[], bool], what: str) -> None:
        """Until it is true; a dashboard that does not answer, or drops a request, has not said yet."""
        ends = time.monotonic() + WAIT_S
        while not self._holds(true):
            if time.monotonic() > ends or self.nodes[0].poll() is not None:
                raise AssertionError(f"no {what}: " + Path(f"{self.folder}/head.log").read_text())
            time.sleep(0.2)

    @staticmethod
    def _holds(true: Callable[[], bool]) -> bool:
        try:
            return true()
        except OSError:
            return False


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]
