"""Embed a whole catalogue with a run's best network, in shards that anything reads; no labels are needed.

python jobs/embed.py --data s3://bucket/table --run s3://bucket/runs/first --out s3://bucket/catalogue
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a checkout, installed or not

from jobs.signals import end_on_signals

if __name__ == "__main__":
    end_on_signals()  # before anything that takes time

from fashion.pipelines.embed import EmbedJobSettings, embed
from jobs.cli import main


def job(settings: EmbedJobSettings) -> None:
    embed(settings)


if __name__ == "__main__":
    main(EmbedJobSettings, job)
