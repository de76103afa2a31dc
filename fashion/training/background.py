"""The writing of checkpoints beside the training, and when one between those of the epochs is due."""

import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from fashion.training.settings import CheckpointSettings

Content = TypeVar("Content")
Other = TypeVar("Other")


class Background(Generic[Content]):
    """Writes what the training was after a step, in a thread of its own and one at a time.

    It is due after half of the steps, or of the minutes, that may be lost; and where the one before is not written by
    then, training waits for it. So at the worst, which is the moment before the second of two is written, no more is
    lost than may be.
    """

    def __init__(
        self,
        settings: CheckpointSettings,
        write: Callable[[Content], None],
        failed: Callable[[Exception], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        """`write`, of those between epochs: `failed` is told of what it raises; training goes on, and the next is written
        when it is due."""
        self.between, self.failed, self.clock = write, failed, clock
        self.most_steps = max(1, settings.steps // 2) if settings.steps else math.inf
        self.most_s = 30 * settings.minutes or math.inf
        self.thread: threading.Thread | None = None
        self.fault: Exception | None = None
        self.steps, self.began = 0, self.clock()

    def step(self, content: Callable[[], Content], *, asked: bool = False) -> None:
        """After a step. `content`: makes what is to be written; `asked`: whether it is due in any case. Raises what an
        epoch's checkpoint failed of."""
        self.steps += 1
        if self.fault:
            raise self.fault
        if asked or self.steps >= self.most_steps or self.clock() - self.began >= self.most_s:
            self.write(content, self._between)

    def write(self, content: Callable[[], Other], write: Callable[[Other], None]) -> None:
        """All that is done so far. What `write` raises is raised by the next call here."""
        self.wait()
        self.thread = threading.Thread(
            target=self._write, args=(content(), write), name="write checkpoint", daemon=True
        )
        self.thread.start()
        self.steps, self.began = 0, self.clock()

    def wait(self) -> None:
        """Until nothing is being written."""
        if self.thread is not None:
            self.thread.join()
        if self.fault:
            raise self.fault

    def _write(self, content: Other, write: Callable[[Other], None]) -> None:
        try:
            write(content)
        except Exception as fault:
            self.fault = fault

    def _between(self, content: Content) -> None:
        try:
            self.between(content)
        except Exception as fault:
            self.failed(fault)
