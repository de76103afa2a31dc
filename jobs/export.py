"""Write a run's best network in forms that others read: a folder for timm, or ONNX.

python jobs/export.py --run s3://bucket/runs/first --out exported --format onnx
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a checkout, installed or not

from jobs.signals import end_on_signals

if __name__ == "__main__":
    end_on_signals()  # before anything that takes time

from fashion.pipelines.export import ExportSettings, export
from jobs.cli import main


def job(settings: ExportSettings) -> None:
    for file in export(settings):
        print(file)


if __name__ == "__main__":
    main(ExportSettings, job)
