"""Rounds of all jobs, each a command of its own that is disturbed and given again until it ends well."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

import boto3

from fashion.storage import Store
from fashion.training.checkpoint import checkpoints
from tests.cluster.loopback import ROOT, Loopback
from tests.faults.proxy import Proxy, lost, reset, status, torn, unseen
from tests.soak.victims import DRIVER, MARK, NODE, Processes, memory

MOST_TRIES, PATIENCE_S, DUMP_S = 6, 600, 20
BUCKET = "soak"
FAULTS = {
    "503": status(503, "SlowDown"), "500": status(500, "InternalError"), "403": status(403, "AccessDenied"),
    "reset": reset, "torn": torn, "answer lost": lost, "404 after a write": unseen(1.0),
}  # fmt: skip
SMALL = (
    "--{0}network.name embnet --{0}network.pretrained null --{0}network.size 32 --{0}network.width 0.25 "
    "--{0}network.dimension 16 --{0}batch.items 8 --{0}resources.threads 1 --{0}resources.feed_actors 1 "
    "--{0}precision float32"  # which one is quicker depends on what else the machine does
)
# What a job says last when it does not end well.
LAST = ("failed: ", "error: ", "interrupted; ", "stopped; ")


class Soak:
    def __init__(self, seed: int, folder: Path, proxy: Proxy):
        self.draw, self.folder, self.proxy = random.Random(seed), folder, proxy
        self.kills, self.faults, self.jobs, self.tries, self.left = (Counter() for _ in range(5))
        self.lost: list[str] = []
        self.most_memory = 0
        self.reference: dict | None = None
        self.cluster: Loopback | None = None
        self.cluster_mark = ""

    def lose(self, line: str) -> None:
        self.lost.append(line)
        print(f"LOST: {line}", flush=True)

    def round(self, number: int, *, calm: bool) -> None:
        """All jobs once, under a prefix of their own, which goes again."""
        here = f"s3://{BUCKET}/round-{number}"
        table, run, sweep = f"{here}/table", f"{here}/run", f"{here}/sweep"
        accepted = ["--baseline", f"{here}/baseline", "--data", table, "--run", run]
        (self.folder / "sweep.yaml").write_text("space:\n  loss.margin: {choice: [0.1, 0.2]}\nsearch: {name: grid}\n")
        for job, *arguments in (
            ["prepare", "--benchmark", "manifest", "--source", f"s3://{BUCKET}/shop", "--out", table,
             "--shard_images", "40"],
            ["train", "--data", table, "--run", run, "--epochs", "3", *SMALL.format("").split()],
            ["evaluate", "--data", table, "--run", run],
            ["embed", "--data", table, "--run", run, "--out", f"{here}/catalogue"],
            ["reevaluate", *accepted, "--accept", "true", "--day", "2026-01-01"],
            ["reevaluate", *accepted, "--day", "2026-01-02"],
            ["sweep", "--config", str(self.folder / "sweep.yaml"), "--data", table, "--run", sweep, "--train.epochs", "1",
             *SMALL.format("train.").split(), "--evaluate", "false"],
        ):  # fmt: skip
            self.until_done(job, arguments, calm=calm)
        found = self.results(here)
        if self.reference is None:
            self.reference = found
        for name, value in self.reference.items():
            if found.get(name) != value:
                self.lose(f"round {number}: {name} is {found.get(name)}, undisturbed {value}")
        boto3.resource("s3").Bucket(BUCKET).objects.filter(Prefix=f"round-{number}/").delete()

    def results(self, here: str) -> dict:
        """What a round made, without times."""
        table, run = Store(f"{here}/table").read_json("manifest.json"), Store(f"{here}/run")
        metrics = (run / "evaluation").read_json("metrics.json")
        catalogue = Store(f"{here}/catalogue").read_json("_manifest.json")
        trials = Store(f"{here}/sweep").read("leaderboard.csv").decode().splitlines()
        return {
            "table": table["fingerprint"],
            "images": table["counts"]["images"],
            "network": checkpoints(run)[-1].fingerprint,
            "history": [row.loss for row in checkpoints(run)[-1].history],
            "recall": metrics["recall"],
            "catalogue": [shard["digest"] for shard in catalogue["shards"]],
            "trials": len(trials),
        }

    def until_done(self, job: str, arguments: list[str], *, calm: bool) -> None:
        """Raises SystemExit where that does not help."""
        for attempt in range(MOST_TRIES):
            ended, said, hit = self.run(job, arguments, calm=calm or attempt == MOST_TRIES - 1)
            self.tries[job] += 1
            if ended == 0:
                self.jobs[job] += 1
                return
            lines = said.strip().splitlines() or [""]
            if "Traceback" in said or (ended in (1, 2) and not lines[-1].startswith(LAST) and hit != {"raylet"}):
                self.lose(f"{job} ended with {ended} after {sorted(hit)}: {said[-2000:]}")
            if not hit:
                self.lose(f"{job} ended with {ended} and nothing was done to it: {said[-2000:]}")
                raise SystemExit(1)
        self.lose(f"{job}: not done after {MOST_TRIES} tries")
        raise SystemExit(1)

    def run(self, job: str, arguments: list[str], *, calm: bool) -> tuple[int | None, str, set[str]]:
        """One try -> exit status (None: it hung), stderr, and what was done to it."""
        mark = uuid.uuid4().hex
        command = [sys.executable, str(ROOT / "jobs" / f"{job}.py"), *arguments]
        env = os.environ | {MARK: mark, "RAY_TMPDIR": str(self.folder), "TMPDIR": str(self.folder)}
        if self.cluster:
            there = {name: value for name, value in self.cluster.env.items() if name.startswith("RAY_AUTH")}
            env |= there | {"RAY_ADDRESS": f"127.0.0.1:{self.cluster.port}"}
        with open(self.folder / "said", "w+") as said:
            driver = subprocess.Popen(
                command, cwd=self.folder, env=env | {"PYTHONFAULTHANDLER": "1"}, stdout=subprocess.DEVNULL,
                stderr=said, start_new_session=True,
            )  # fmt: skip
            there = Processes(driver, mark, self.cluster, self.cluster_mark)
            hit: set[str] = set()
            disturbed = [] if calm else self.disturb(job, there, hit)
            try:
                ended = driver.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                ended = None
                self.end_hung(driver)
            for thread in disturbed:
                thread.join()
            said.seek(0)
            text = said.read()
        if ended is None:
            self.lose(f"{job}: no end within {PATIENCE_S} s after {sorted(hit)}: {text[-6000:]}")
        for name in there.left():
            self.left[name] += 1
            self.lose(f"{job}: {name} is still there a minute after its end")
        if self.cluster and len(self.cluster.nodes) < 2:
            self.cluster.add()
        return ended, text, hit

    @staticmethod
    def end_hung(driver: subprocess.Popen) -> None:
        """It says first where each of its threads is."""
        driver.send_signal(signal.SIGABRT)
        try:
            driver.wait(DUMP_S)
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.wait()

    def disturb(self, job: str, there: Processes, hit: set[str]) -> list[threading.Thread]:
        """Threads that spoil the storage or hit a process of the job, at random moments: of the kinds those that have been
        hit the least in this job."""
        kinds = there.kinds()
        self.draw.shuffle(kinds)
        kind = min(kinds, key=lambda kind: self.kills[job, kind])
        fault = min(self.draw.sample(sorted(FAULTS), len(FAULTS)), key=lambda name: self.faults[job, name])
        chosen = self.draw.choice(["kill", "kill", "fault", "both"])
        found = []
        if chosen != "fault":
            found.append(
                threading.Thread(target=self.hit, args=(job, there, kind, random.Random(self.draw.random()), hit))
            )
        if chosen != "kill":
            delay, seconds = self.draw.uniform(0, 12), self.draw.uniform(0.2, 3)
            found.append(threading.Thread(target=self.spoil, args=(job, there, fault, delay, seconds, hit)))
        for thread in found:
            thread.start()
        return found

    def hit(self, job: str, there: Processes, kind: str, draw: random.Random, hit: set[str]) -> None:
        if there.hit(kind, draw):
            hit.add(kind)
            self.kills[job, kind] += 1
        elif kind not in (DRIVER, NODE):
            self.kills[job, kind] += 0.1  # it may have none of this kind: the others' turn
        self.most_memory = max(self.most_memory, memory(there.all()))

    def spoil(self, job: str, there: Processes, name: str, delay: float, seconds: float, hit: set[str]) -> None:
        if not there.lives_for(delay):
            return
        with self.proxy.faulty(FAULTS[name], f"/{BUCKET}/") as fault:
            time.sleep(seconds)
        if fault.hits:
            hit.add(name)
            self.faults[job, name] += fault.hits
