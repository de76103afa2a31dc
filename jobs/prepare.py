"""Make the item table: DeepFashion's files, or a manifest of your own, to packed Parquet shards.

python jobs/prepare.py --benchmark consumer-to-shop --source s3://bucket/deepfashion --out s3://bucket/table
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a checkout, installed or not

from jobs.signals import end_on_signals

if __name__ == "__main__":
    end_on_signals()  # before anything that takes time

from fashion.pipelines.prepare import PrepareSettings, prepare
from jobs.cli import main


def job(settings: PrepareSettings) -> None:
    prepare(settings)


if __name__ == "__main__":
    main(PrepareSettings, job)
