"""When a checkpoint between those of the epochs is due, and its writing beside the training."""

import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from fashion.training.settings import CheckpointSettings

Content = TypeVar("Content")


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
        """`failed`: told of what `write` raises; training goes on, and the next is written when it is due."""
        self.write, self.failed, self.clock = write, failed, clock
        self.most_steps = max(1, settings.steps // 2) if settings.steps else math.inf
        self.most_s = 30 * settings.minutes or math.inf
        self.thread: threading.Thread | None = None
        self.saved()

    def saved(self) -> None:
        """All that is done so far is in a checkpoint."""
        self.steps, self.began = 0, self.clock()

    def step(self, content: Callable[[], Content], *, asked: bool = False) -> None:
        """After a step. `content`: makes what is to be written; `asked`: whether it is due in any case."""
        self.steps += 1
        if not asked and self.steps < self.most_steps and self.clock() - self.began < self.most_s:
            return
        self.wait()
        self.thread = threading.Thread(target=self._write, args=(content(),), name="write checkpoint", daemon=True)
        self.thread.start()
        self.saved()

    def wait(self) -> None:
        """Until nothing is being written."""
        if self.thread is not None:
            self.thread.join()

    def _write(self, content: Content) -> None:
        try:
            self.write(content)
        except Exception as fault:
            self.failed(fault)
