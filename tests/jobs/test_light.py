"""Settings are read, checked and said before anything heavy is imported: the first line comes at once."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
JOBS = ("train", "prepare", "evaluate", "embed", "search", "sweep", "reevaluate")
HEAVY = ("torch", "torchvision", "timm", "ray", "pandas", "faiss", "matplotlib", "boto3", "jinja2", "PIL")
SAID = """
import sys
from importlib import import_module
job = import_module("jobs." + sys.argv[1])
{then}
print(*(name for name in {heavy} if name in sys.modules))
"""


def loaded(job: str, then: str = "") -> list[str]:
    code = SAID.format(then=then, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code, job], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("job", JOBS)
def test_no_job_imports_anything_heavy_to_read_its_settings(job):
    assert loaded(job) == []
