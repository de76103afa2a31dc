"""Find a customer's photos in an embedded catalogue, at once: no Ray is started.

python jobs/search.py --catalogue s3://bucket/catalogue --run s3://bucket/runs/first --image photo.jpg --sheet found.jpg
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a checkout, installed or not

from jobs.signals import end_on_signals

if __name__ == "__main__":
    end_on_signals()  # before anything that takes time

import json

from fashion.errors import InputError
from fashion.pipelines.search import PhotoSearchSettings, search
from jobs.cli import main


def job(settings: PhotoSearchSettings) -> None:
    unusable = search(settings).unusable
    if unusable:
        more = f" (and {len(unusable) - 1} more photos that cannot be used)" if len(unusable) > 1 else ""
        raise InputError(f"image: {unusable[0]}{more}")


def with_lists(arguments: list[str]) -> list[str]:
    """`--image a b` as the one argument that the parser of settings expects."""
    others, images, taking = [], [], False
    for argument in arguments:
        if argument.startswith("--"):
            taking = argument.split("=")[0] == "--image"
            if taking:
                images += argument.split("=", 1)[1:]
        if not taking:
            others.append(argument)
        elif not argument.startswith("--"):
            images.append(argument)
    return [*others, f"--image={json.dumps(images)}"] if images else others


if __name__ == "__main__":
    main(PhotoSearchSettings, job, with_lists(sys.argv[1:]))
