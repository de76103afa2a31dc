"""make soak: prepare, train, evaluate, embed, sweep and reevaluate in a loop while processes are killed and storage fails.

python -m tests.soak --minutes 30

Each job is a command of its own against an S3 endpoint; it is killed and its storage spoilt at random moments, and the
same command is given again until it ends well. What it made is compared with what an undisturbed round made. Prints
what was injected and what is left over; exit status 1 where anything was lost.
"""

import argparse
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import boto3
import psutil

from fashion.processes import with_environment
from fashion.storage import Store
from fashion.training.checkpoint import checkpoints
from tests.catalogues import jpeg, picture
from tests.cluster.loopback import free_port
from tests.faults.proxy import Proxy, lost, reset, status, torn

ROOT = Path(__file__).resolve().parent.parent
MARK = "FASHION_SOAK"
ITEMS, MOST_TRIES, PATIENCE_S = 48, 8, 300
BUCKET = "s3://soak"
FAULTS = {
    "503": status(503, "SlowDown"), "500": status(500, "InternalError"), "403": status(403, "AccessDenied"),
    "reset": reset, "torn": torn, "answer lost": lost,
}  # fmt: skip
SMALL = (
    "--{0}network.name embnet --{0}network.pretrained null --{0}network.size 32 --{0}network.width 0.25 "
    "--{0}network.dimension 16 --{0}batch.items 8"
)
VICTIMS = {"driver": "", "worker": r"RayTrainWorker|MapWorker|ray::", "raylet": r"raylet/raylet"}


class Soak:
    def __init__(self, seed: int, folder: Path, proxy: Proxy):
        self.random, self.folder, self.proxy = random.Random(seed), folder, proxy
        self.kills, self.faults, self.jobs, self.tries, self.left = (Counter() for _ in range(5))
        self.lost: list[str] = []
        self.most_memory = 0
        self.reference: dict | None = None

    def round(self, number: int, *, calm: bool) -> None:
        """All jobs once, under a prefix of their own, which goes again."""
        here = f"{BUCKET}/round-{number}"
        table, run, sweep = f"{here}/table", f"{here}/run", f"{here}/sweep"
        accepted = ["--baseline", f"{here}/baseline", "--data", table, "--run", run]
        (self.folder / "sweep.yaml").write_text("space:\n  loss.margin: {choice: [0.1, 0.2]}\nsearch: {name: grid}\n")
        for job, *arguments in (
            ["prepare", "--benchmark", "manifest", "--source", f"{BUCKET}/shop", "--out", table, "--shard_images", "40"],
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
        self.lost += [
            f"round {number}: {name} is {found.get(name)}, undisturbed {value}"
            for name, value in self.reference.items()
            if found.get(name) != value
        ]
        bucket = boto3.resource("s3").Bucket("soak")
        bucket.objects.filter(Prefix=f"round-{number}/").delete()

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
        for attempt in range(MOST_TRIES):
            ended, said, disturbed = self.run(job, arguments, calm=calm or attempt == MOST_TRIES - 1)
            self.tries[job] += 1
            if ended == 0:
                self.jobs[job] += 1
                return
            if "Traceback" in said or (not disturbed and ended):
                self.lost.append(f"{job} ended with {ended}: {said[-300:]}")
            if not disturbed:
                raise SystemExit("\n".join(self.lost))
        raise SystemExit("\n".join([*self.lost, f"{job}: not done after {MOST_TRIES} tries"]))

    def run(self, job: str, arguments: list[str], *, calm: bool) -> tuple[int | None, str, bool]:
        """One try -> exit status (None: it hung), stderr, and whether it was disturbed."""
        mark = uuid.uuid4().hex
        command = [sys.executable, str(ROOT / "jobs" / f"{job}.py"), *arguments]
        env = os.environ | {
            MARK: mark,
            "PYTHONPATH": str(ROOT),
            "RAY_TMPDIR": str(self.folder),
            "TMPDIR": str(self.folder),
        }
        process = subprocess.Popen(
            command, cwd=self.folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        disturbed = [] if calm else self.disturb(process, mark)
        try:
            _, said = process.communicate(timeout=PATIENCE_S)
            ended = process.returncode
        except subprocess.TimeoutExpired:
            self.lost.append(f"{job}: no end within {PATIENCE_S} s")
            process.kill()
            ended, said = None, process.communicate()[1]
        for thread in disturbed:
            thread.join()
        self.gone(mark)
        return ended, said, bool(disturbed)

    def disturb(self, process: subprocess.Popen, mark: str) -> list[threading.Thread]:
        """Threads that spoil the storage or kill a process of the job, at random moments."""
        found = []
        if self.random.random() < 0.7:
            name, delay = self.random.choice(list(FAULTS)), self.random.uniform(0, 12)
            seconds = self.random.uniform(0.2, 3)
            found.append(threading.Thread(target=self.spoil, args=(process, name, delay, seconds)))
        if self.random.random() < 0.7:
            victim, delay = self.random.choice(list(VICTIMS)), self.random.uniform(0.5, 15)
            found.append(threading.Thread(target=self.kill, args=(process, mark, victim, delay, self.random.random())))
        for thread in found:
            thread.start()
        return found

    def spoil(self, process: subprocess.Popen, name: str, delay: float, seconds: float) -> None:
        if not self.alive_after(process, delay):
            return
        with self.proxy.faulty(FAULTS[name], "/soak/") as fault:
            time.sleep(seconds)
            self.faults[name] += fault.hits

    def kill(self, process: subprocess.Popen, mark: str, victim: str, delay: float, which: float) -> None:
        if not self.alive_after(process, delay):
            return
        self.most_memory = max(self.most_memory, sum(memory(p) for p in with_environment(MARK, mark)))
        if victim == "driver":
            process.send_signal(signal.SIGKILL)
            self.kills[victim] += 1
            return
        found = [
            p for p in with_environment(MARK, mark) if p.pid != process.pid and re.search(VICTIMS[victim], title(p))
        ]
        if found:
            found[int(which * len(found))].kill()
            self.kills[victim] += 1

    @staticmethod
    def alive_after(process: subprocess.Popen, delay: float) -> bool:
        ends = time.monotonic() + delay
        while process.poll() is None and time.monotonic() < ends:
            time.sleep(0.05)
        return process.poll() is None

    def gone(self, mark: str) -> None:
        """Nobody of the job is left, within a minute."""
        ends = time.monotonic() + 60
        while (left := with_environment(MARK, mark)) and time.monotonic() < ends:
            time.sleep(0.2)
        for process in left:
            self.left[title(process)[:40]] += 1
            process.kill()


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def memory(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0


def standing(folder: Path) -> str:
    """What would grow if anything leaked: of this machine, and of the folder that all temporary files go to."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    shared = list(Path("/dev/shm").iterdir()) if Path("/dev/shm").exists() else []
    own = psutil.Process()
    return (
        f"{len(files)} temporary files of {sum(path.stat().st_size for path in files) / 1e6:.1f} MB, {len(shared)} in "
        f"/dev/shm; this process: {own.num_fds()} handles, {own.num_threads()} threads, {own.memory_info().rss / 1e6:.0f} MB"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    os.environ |= {name: "testing" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    os.environ |= {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="s"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port := free_port())],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        stack.callback(server.kill)
        proxy = stack.enter_context(Proxy("127.0.0.1", port))
        os.environ["AWS_ENDPOINT_URL"] = proxy.uri
        create_shop()
        soak, ends, number = Soak(given.seed, folder, proxy), time.monotonic() + 60 * given.minutes, 0
        began = time.monotonic()
        soak.round(0, calm=True)
        print(f"undisturbed round: {time.monotonic() - began:.0f} s; {standing(folder)}", flush=True)
        while time.monotonic() < ends:
            number += 1
            soak.round(number, calm=False)
            said = (
                f"{sum(soak.kills.values())} kills, {sum(soak.faults.values())} requests spoilt, {len(soak.lost)} lost"
            )
            print(f"round {number}, {time.monotonic() - began:.0f} s: {said}; {standing(folder)}", flush=True)
        print(
            f"seconds {time.monotonic() - began:.0f}, rounds {number}, jobs {dict(soak.jobs)}, tries {dict(soak.tries)}"
        )
        print(
            f"kills {dict(soak.kills)}, requests spoilt {dict(soak.faults)}, left behind {dict(soak.left) or 'nobody'}"
        )
        print(f"most memory of a job's processes {soak.most_memory / 1e9:.1f} GB, of one process "
              f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6:.2f} GB")  # fmt: skip
        print("\n".join(soak.lost) or "nothing lost, results equal")
        return 1 if soak.lost else 0


def create_shop() -> None:
    client = boto3.client("s3")
    for _ in range(100):  # until the server listens
        try:
            client.create_bucket(Bucket="soak")
            break
        except Exception:
            time.sleep(0.2)
    shop, rows = Store(f"{BUCKET}/shop"), ["image,item,domain"]
    for item in range(ITEMS):
        for number, domain in enumerate(("shop", "consumer", "consumer")):
            shop.write(f"{item}-{number}.jpg", jpeg(picture(10 * item + number)))
            rows.append(f"{item}-{number}.jpg,item {item},{domain}")
    shop.write("photos.csv", "\n".join(rows).encode())


if __name__ == "__main__":
    sys.exit(main())
