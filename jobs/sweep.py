"""Search settings of jobs/train.py by many training runs (trials). With no arguments: a small sweep on the demo.

python jobs/sweep.py
python jobs/sweep.py --config jobs/configs/sweep.yaml --data s3://bucket/table --run s3://bucket/sweeps/first
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a checkout, installed or not

from jobs.signals import end_on_signals

if __name__ == "__main__":
    end_on_signals()  # before anything that takes time

from fashion.pipelines.sweep import SweepJobSettings, sweep
from jobs.cli import main

DEMO = Path(__file__).parent / "configs/sweep-demo.yaml"


def job(settings: SweepJobSettings) -> None:
    if settings.data:
        sweep(settings)
    else:
        from fashion.pipelines.demo import sweep_demo

        sweep_demo(settings)


if __name__ == "__main__":
    main(SweepJobSettings, job, sys.argv[1:] or ["--config", str(DEMO)])
