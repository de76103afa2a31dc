"""Evaluate a run: embed queries and gallery, rank exactly, write metrics.json, queries.parquet and report.html.

python jobs/evaluate.py --data s3://bucket/table --run s3://bucket/runs/first
python jobs/evaluate.py --data s3://bucket/table --run s3://bucket/runs/second --against s3://bucket/runs/first

Exit status 3: the evaluation is worse than the one it was compared with.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a checkout, installed or not

from jobs.signals import end_on_signals

if __name__ == "__main__":
    end_on_signals()  # before anything that takes time

from fashion.pipelines.evaluate import EvaluateSettings, evaluate
from fashion.retrieval.gate.gate import is_worse
from jobs.cli import main

WORSE = 3  # exit status


def job(settings: EvaluateSettings) -> int:
    return WORSE if is_worse(evaluate(settings)) else 0


if __name__ == "__main__":
    main(EvaluateSettings, job)
