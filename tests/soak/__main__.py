"""make soak: prepare, train, evaluate, embed, reevaluate and sweep in a loop while processes are killed and storage fails.

python -m tests.soak --minutes 30

The rounds take turns: on a cluster of two nodes of this machine, and on a Ray of each job's own. Each job is a command of
its own against an S3 endpoint; it is hit and its storage spoilt at random moments, and the same command is given again
until it ends well. What it made is compared with what an undisturbed round made. Prints what was injected and what is left
over; exit status 1 where anything was lost.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

import boto3
import psutil

from fashion.processes import with_environment
from fashion.storage import Store
from tests.catalogues import jpeg, picture
from tests.cluster.loopback import ROOT, Loopback, free_port
from tests.faults.proxy import Proxy
from tests.soak.rounds import BUCKET, Soak
from tests.soak.victims import MARK, title

ITEMS = 48
RAYS = ("cluster", "own", "both")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ray", choices=RAYS, default="both", help="that of a cluster, each job's own, or by turns")
    given = parser.parse_args()
    os.environ |= {name: "testing" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    os.environ |= {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
    os.environ |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
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
        soak = Soak(given.seed, folder, proxy)
        cluster = None
        if given.ray != "own":
            os.environ[MARK] = soak.cluster_mark = uuid.uuid4().hex
            cluster = stack.enter_context(Loopback())
            del os.environ[MARK]
        return loop(soak, cluster, given.ray, given.minutes)


def loop(soak: Soak, cluster: Loopback | None, ray: str, minutes: float) -> int:
    """Rounds until the time is over -> exit status."""
    began, number = time.monotonic(), 0
    soak.cluster = cluster if ray == "cluster" else None
    try:
        soak.round(0, calm=True)
        print(f"undisturbed round: {time.monotonic() - began:.0f} s; {standing(soak, cluster)}", flush=True)
        disturbed = time.monotonic()
        while time.monotonic() < disturbed + 60 * minutes:
            number += 1
            soak.cluster = cluster if ray == "cluster" or (ray == "both" and number % 2) else None
            soak.round(number, calm=False)
            kills, spoilt = sum(counts(soak.kills).values()), sum(soak.faults.values())
            print(
                f"round {number} ({'cluster' if soak.cluster else 'own Ray'}), {time.monotonic() - began:.0f} s: {kills} "
                f"kills, {spoilt} requests spoilt, {len(soak.lost)} lost; {standing(soak, cluster)}",
                flush=True,
            )
    except SystemExit:
        pass  # it is told below
    print(f"seconds {time.monotonic() - began:.0f}, rounds {number}, jobs {dict(soak.jobs)}, tries {dict(soak.tries)}")
    for what, found in (("hit", counts(soak.kills)), ("requests spoilt", soak.faults)):
        print(f"{what}, {sum(found.values())} in all:")
        print("\n".join(f"  {job} {kind}: {count}" for (job, kind), count in sorted(found.items())))
    print(f"left behind {dict(soak.left) or 'nobody'}")
    print(f"most memory of a job's processes {soak.most_memory / 1e9:.1f} GB, of one process "
          f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6:.2f} GB")  # fmt: skip
    print("\n".join(soak.lost) or "nothing lost, results equal")
    return 1 if soak.lost else 0


def counts(kills: Counter) -> dict[tuple[str, str], int]:
    """Those that were."""
    return {key: int(count) for key, count in kills.items() if count >= 1}


def standing(soak: Soak, cluster: Loopback | None) -> str:
    """What would grow if anything leaked: of this machine, of the folder that all temporary files go to, and of the
    cluster's head."""
    files = [path for path in soak.folder.rglob("*") if path.is_file()]
    shared = list(Path("/dev/shm").iterdir()) if Path("/dev/shm").exists() else []
    size = sum(path.stat().st_size for path in files) / 1e6
    said = f"{len(files)} temporary files of {size:.1f} MB, {len(shared)} in /dev/shm; this process: {own(psutil.Process())}"
    if cluster:
        lasting = {"gcs_server": "GCS", "raylet": "raylet"}
        for process in with_environment(MARK, soak.cluster_mark):
            with suppress(psutil.Error):
                if (name := lasting.pop(process.name(), None)) is not None:  # the eldest, which is the head's
                    said += f"; {name}: {own(process)}"
        workers = sum(title(process).startswith("ray::") for process in with_environment(MARK, soak.cluster_mark))
        held = sum(node["objectStoreUsedMemory"] for node in cluster.alive().values())
        said += f"; {workers} processes of Ray's; object store {held / 1e6:.1f} MB"
    return said


def own(process: psutil.Process) -> str:
    return f"{process.num_fds()} handles, {process.num_threads()} threads, {process.memory_info().rss / 1e6:.0f} MB"


def create_shop() -> None:
    client = boto3.client("s3")
    for _ in range(100):  # until the server listens
        try:
            client.create_bucket(Bucket=BUCKET)
            break
        except Exception:
            time.sleep(0.2)
    shop, rows = Store(f"s3://{BUCKET}/shop"), ["image,item,domain"]
    for item in range(ITEMS):
        for number, domain in enumerate(("shop", "consumer", "consumer")):
            shop.write(f"{item}-{number}.jpg", jpeg(picture(10 * item + number)))
            rows.append(f"{item}-{number}.jpg,item {item},{domain}")
    shop.write("photos.csv", "\n".join(rows).encode())


if __name__ == "__main__":
    sys.exit(main())
