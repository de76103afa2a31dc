"""A sweep from end to end over S3: killed in the middle, resumed, and its best settings trained anew.

python tests/benchmarks/sweep.py --source DEEPFASHION_FOLDER
python tests/benchmarks/sweep.py --demo

Starts an S3 endpoint of its own, prepares the pictures (consumer-to-shop), starts a sweep over margin x mining with
jobs/sweep.py, kills it with SIGKILL after a third of its trials, gives the same command again, and checks that nothing
that was trained is trained again and that no trial keeps more than its best and its last checkpoint. Then trains
best.yaml with three seeds: the validation metric of the sweep's best trial against theirs is the noise.
"""

import argparse
import json
import logging
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

PYTHON = sys.executable
BUCKET = "sweeps"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--source", help="folder of DeepFashion's consumer-to-shop files")
    arguments.add_argument("--demo", action="store_true", help="drawn pictures instead")
    arguments.add_argument("--items", type=int, default=200, help="of the drawn pictures")
    arguments.add_argument("--epochs", type=int, default=8)
    arguments.add_argument("--grace", type=int, default=3)
    arguments.add_argument("--seeds", type=int, default=3, help="trainings of best.yaml")
    arguments.add_argument("--out", default="sweep-shown", help="folder for the page and the logs")
    wanted = arguments.parse_args()
    if bool(wanted.source) == wanted.demo:
        arguments.error("give --source or --demo")
    out = Path(wanted.out).absolute()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        endpoint = _endpoint()
        try:
            show(wanted, Path(folder), out)
        finally:
            endpoint.stop()


def show(wanted: argparse.Namespace, folder: Path, out: Path) -> None:
    from fashion.storage import Store

    source = wanted.source
    if wanted.demo:
        from fashion.demo.catalogue import write_demo

        write_demo(folder / "catalogue", items=wanted.items, seed=0)
        source = str(folder / "catalogue")
    data, run = f"s3://{BUCKET}/table", f"s3://{BUCKET}/sweep"
    benchmark = [] if wanted.demo else ["--benchmark", "consumer-to-shop"]
    job("prepare", [*benchmark, "--source", source, "--out", data], out / "prepare.log")
    config = folder / "sweep.yaml"
    config.write_text(yaml.safe_dump(space(wanted)))
    command = ["--config", str(config), "--data", data, "--run", run]
    store = Store(run)

    def ended() -> int:
        names = [n for n in store.names("trials", recursive=True) if n.endswith("/trial.json")]
        return sum(store.read_json(n)["status"] != "open" for n in names)

    began = time.monotonic()
    killed = kill_when(lambda: ended() >= 3, start("sweep", command, out / "sweep-killed.log"))
    before = {n: store.read_json(n) for n in store.names("trials", recursive=True) if n.endswith("history.json")}
    kept = ended()
    print(f"killed after {killed:.0f} s: {kept} trials ended, {len(before)} with epochs")
    job("sweep", command, out / "sweep.log")
    print(f"resumed and done after {time.monotonic() - began:.0f} s in all")

    for name, history in before.items():
        assert store.read_json(name)[: len(history)] == history, f"{name}: epochs were trained again"
    folders = {n.rsplit("/", 1)[0] for n in store.names("trials", recursive=True) if "/checkpoint_epoch=" in n}
    each = [sum(f.startswith(trial) for f in folders) for trial in {f.rsplit("/", 1)[0] for f in folders}]
    assert max(each) <= 2, f"{max(each)} checkpoints of a trial"
    print(f"checkpoints kept by a trial: {max(each)} at most, best and last")
    for name in ("sweep.html", "leaderboard.csv", "best.yaml", "evaluation/metrics.json", "evaluation/report.html"):
        (out / Path(name).name).write_bytes(store.read(name))
    retrain(wanted, store, data, out)
    print((out / "sweep.log").read_text())


def retrain(wanted: argparse.Namespace, store, data: str, out: Path) -> None:
    """best.yaml as it is, and with other seeds."""
    from fashion.storage import Store
    from fashion.training.checkpoint import best_checkpoint
    from fashion.training.history import score

    metric = yaml.safe_load((out / "best.yaml").read_text())["validation"]["metric"]
    best = store.read_table("leaderboard.parquet").to_pylist()[0]
    values = []
    for seed in range(wanted.seeds):
        run = f"s3://{BUCKET}/again-{seed}"
        seeded = ["--config", str(out / "best.yaml"), "--data", data, "--run", run]
        job("train", seeded + (["--seed", str(seed)] if seed else []), out / f"train-{seed}.log")
        values.append(score(best_checkpoint(Store(run), metric).history[-1], metric))
    noise = statistics.stdev(values) if len(values) > 1 else float("nan")
    report = {"metric": metric, "sweep": best[metric], "again": values, "standard_deviation": noise}
    (out / "noise.json").write_text(json.dumps(report, indent=2) + "\n")
    anew = ", ".join(f"{v:.4f}" for v in values)
    print(f"sweep's best {metric} {best[metric]:.4f}; trained anew {anew} (standard deviation {noise:.4f})")


def space(wanted: argparse.Namespace) -> dict:
    return {
        "train": {"epochs": wanted.epochs, "loss": {"name": "triplet"}},
        "space": {
            "loss.margin": {"choice": [0.1, 0.4]},
            "loss.mining": {"choice": ["hard", "semi-hard", "all", "distance-weighted"]},
        },
        "search": {"name": "grid"},
        "scheduler": {"name": "asha", "grace": wanted.grace},
    }


def start(name: str, arguments: list[str], log: Path) -> subprocess.Popen:
    with log.open("w") as file:
        return subprocess.Popen([PYTHON, str(ROOT / f"jobs/{name}.py"), *arguments], stdout=file, stderr=file)


def job(name: str, arguments: list[str], log: Path) -> None:
    if start(name, arguments, log).wait():
        sys.exit(f"jobs/{name}.py failed:\n{log.read_text()}")


def kill_when(reached, process: subprocess.Popen) -> float:
    began = time.monotonic()
    while not reached():
        if process.poll() is not None:
            sys.exit("the sweep ended before it could be killed; see its log")
        time.sleep(1)
    time.sleep(15)  # into the next trial
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return time.monotonic() - began


def _endpoint():
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    return server


if __name__ == "__main__":
    main()
