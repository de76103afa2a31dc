"""The demo catalogue on disk: drawn garments in the files and folders in which DeepFashion is published."""

import json
import multiprocessing
import os
import shutil
import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from fashion.demo.drawing import contact_sheet, design
from fashion.demo.layouts import LAYOUTS, Item, describe
from fashion.errors import InputError

__all__ = ["contact_sheet", "write_demo"]

_RECORD = "demo.json"
_VERSION = 1  # of the drawings; raise it when they change, so that an older catalogue is not taken for a new one
_FEWEST = 5  # items: one for each split and one to tell it from
_CHUNK = 8  # items a task


def write_demo(
    root: Path, *, layout: str = "consumer-to-shop", items: int = 400, seed: int = 0, workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:  # fmt: skip
    """Draw `items` garments into the folder `root`, in one of LAYOUTS. About 4.4 photos an item.

    A finished catalogue of the same layout, items and seed is kept as it is. `root` appears complete or not at all. The
    files do not depend on `workers` (processes, by default one a CPU; 1 draws in this one). `progress` is told (items
    done, items). Raises InputError for impossible settings and where `root` holds anything else.
    """
    root = Path(root)
    record = {"version": _VERSION, "layout": layout, "items": items, "seed": seed}
    _check(record, workers)
    if _finished(root, record):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    draft = root.parent / f".{root.name}.{uuid.uuid4().hex}.tmp"
    try:
        drawn: list[Item] = []
        for chunk in _draw_all(draft, layout, items, seed, workers or os.cpu_count() or 1):
            drawn += chunk
            if progress:
                progress(len(drawn), items)
        LAYOUTS[layout][1](draft, drawn)
        (draft / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        _publish(draft, root, record)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _check(record: dict, workers: int | None) -> None:
    if record["layout"] not in LAYOUTS:
        raise InputError(f"layout {record['layout']!r}: expected one of {', '.join(LAYOUTS)}")
    if record["items"] < _FEWEST:
        raise InputError(f"items {record['items']}: expected at least {_FEWEST}, so that each split has one")
    if record["seed"] < 0:
        raise InputError(f"seed {record['seed']}: expected 0 or more")
    if workers is not None and workers < 1:
        raise InputError(f"workers {workers}: expected 1 or more, or none for one a CPU")


def _finished(root: Path, record: dict) -> bool:
    """Whether `root` is this catalogue; InputError where it is something else, False where there is nothing."""
    try:
        drawn = json.loads((root / _RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if root.is_dir() and not any(root.iterdir()):
            return False
        if root.exists():
            raise InputError(f"{root}: found files that are no demo catalogue; give another folder") from None
        return False
    except (OSError, ValueError) as fault:
        raise InputError(f"{root / _RECORD}: not readable ({fault}); delete the folder or give another") from None
    if drawn != record:
        raise InputError(
            f"{root}: found a demo catalogue of {drawn}, expected {record}; delete it or give another folder"
        )
    return True


def _publish(draft: Path, root: Path, record: dict) -> None:
    try:
        os.replace(draft, root)
    except OSError:  # another process was faster: its catalogue is as good, if it is the same
        if not _finished(root, record):
            raise


def _draw_all(draft: Path, layout: str, items: int, seed: int, workers: int) -> Iterator[list[Item]]:
    """Chunks of items in order, their photos saved under `draft`."""
    tasks = [(str(draft), layout, seed, start, min(start + _CHUNK, items)) for start in range(0, items, _CHUNK)]
    workers = min(workers, len(tasks))
    if workers == 1:
        yield from map(_draw, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        with _main_not_imported_again(), _deaf():
            drawn = pool.map(_draw, tasks)
        try:
            yield from drawn
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _draw(task: tuple[str, str, int, int, int]) -> list[Item]:
    folder, layout, seed, start, stop = task
    described = []
    for item in range(start, stop):
        garment = design(seed, item)
        drawn = list(LAYOUTS[layout][0](garment, item))
        for path, picture in drawn:
            target = Path(folder, "Img", path)
            target.parent.mkdir(parents=True, exist_ok=True)
            picture.image.save(target, quality=picture.quality)
        described.append(describe(garment, item, drawn))
    return described


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that start meanwhile do not hear Ctrl-C, which a terminal sends to all: this one ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _main_not_imported_again() -> Iterator[None]:
    """Spawned processes import the caller's script again, which takes long and, in one without a `__main__` guard, runs
    it again. They need nothing of it: while they start, hide where it lies."""
    main = sys.modules["__main__"]
    hidden = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
    main.__spec__ = None
    if "__file__" in hidden:
        del main.__file__
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)
