"""The nightly gate: today's catalogue, a run's best network, and the accepted evaluation that it is held against.

python jobs/reevaluate.py --run s3://bucket/runs/first --source s3://bucket/catalogue --table.benchmark manifest \
    --data s3://bucket/tables/{day} --baseline s3://bucket/baseline
python jobs/reevaluate.py ... --accept true

Exit status 3: today's evaluation is worse than the accepted one.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a checkout, installed or not

from jobs.signals import end_on_signals

if __name__ == "__main__":
    end_on_signals()  # before anything that takes time

from fashion.pipelines.reevaluate import ReevaluateSettings, reevaluate
from fashion.retrieval.gate.gate import is_worse
from jobs.cli import main

WORSE = 3  # exit status


def job(settings: ReevaluateSettings) -> int:
    return WORSE if is_worse(reevaluate(settings)) and not settings.accept else 0


if __name__ == "__main__":
    main(ReevaluateSettings, job)
