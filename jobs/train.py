"""Train an embedding network on an item table. With no arguments: draw the demo catalogue, train on it, evaluate.

python jobs/train.py
python jobs/train.py --data s3://bucket/table --run s3://bucket/runs/first --network.name resnet50 --epochs 50
python jobs/train.py --config jobs/configs/fashionnet.yaml --data URI --labels '[URI, ...]' --run URI
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a checkout, installed or not

from jobs.signals import end_on_signals

if __name__ == "__main__":
    end_on_signals()  # before anything that takes time

from fashion.pipelines.train import TrainJobSettings, train
from jobs.cli import main


def job(settings: TrainJobSettings) -> None:
    if settings.data:
        train(settings)
    else:
        from fashion.pipelines.demo import train_demo

        train_demo(settings)


if __name__ == "__main__":
    main(TrainJobSettings, job)
