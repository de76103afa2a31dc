"""One job at a time writes to a folder: a file there says which, and is renewed for as long as that job lives.

The file's age is the difference of two times that the storage itself has written, so machines' clocks have no part in it. A
claim is taken over at once where its process is known to be dead, and otherwise once it has not been renewed for `STALE_S`.
Object stores have no lock: where two jobs begin within the same moment, the later claim stays, and the first one finds that
out and ends.
"""

import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fashion.errors import InputError
from fashion.provenance import now
from fashion.storage import Store

CLAIM = "_job.json"  # readers of Parquet folders leave out what begins with _
BEAT_S = 10.0
STALE_S = 60.0
LOOK_S = 1.0  # between looks at a claim that may be dead, and until the first look at one's own


@dataclass(frozen=True, kw_only=True)
class Claim:
    """CLAIM: which process writes to a folder."""

    id: str
    host: str
    place: str  # within which the process's number is its own
    pid: int
    begun: str | None  # when the process did, in ticks of its machine's clock
    since: str


# Of a file that cannot be read as a claim.
_UNREADABLE = Claim(id="", host="an unknown machine", place="", pid=0, begun=None, since="an unknown time")


@contextmanager
def sole_writer(store: Store) -> Iterator[None]:
    """No other job that asks writes to the folder during the block. Raises InputError, naming the other job, where one does;
    at the end of the block too, where another has taken over, which interrupts this job."""
    mine = Claim(
        id=uuid.uuid4().hex,
        host=socket.gethostname(),
        place=_place(),
        pid=os.getpid(),
        begun=_begun(os.getpid()),
        since=now(),
    )
    _wait_for_end(store)
    store.write_value(CLAIM, mine)
    heart = _Heart(store, mine)
    heart.start()
    try:
        yield
    except KeyboardInterrupt:
        if heart.other is None:
            raise
    finally:
        heart.stop.set()
        heart.join(BEAT_S)
        with suppress(OSError):
            if (claim := _read(store)) and claim.id == mine.id:
                store.delete(CLAIM)
    if heart.other is not None:
        raise _refusal(store, heart.other)


class _Heart(threading.Thread):
    """Renews a claim; where it finds another's in its place, `other` is that, and this process is interrupted."""

    def __init__(self, store: Store, mine: Claim):
        super().__init__(daemon=True, name="renew claim")
        self.store, self.mine = store, mine
        self.stop = threading.Event()
        self.other: Claim | None = None

    def run(self) -> None:
        wait = LOOK_S
        while not self.stop.wait(wait):
            wait = BEAT_S
            with suppress(OSError):  # a storage that fails for a while: the next beat may pass
                claim = _read(self.store)
                if claim is None or claim.id == self.mine.id:
                    self.store.write_value(CLAIM, self.mine)
                else:
                    self.other = claim
                    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
                    os.kill(os.getpid(), signal.SIGTERM if ignored else signal.SIGINT)
                    return


def _wait_for_end(store: Store) -> None:
    """Until no other job writes to the folder; only one that may be dead is waited for. Raises InputError otherwise."""
    seen = None  # when the claim was last renewed
    while claim := _read(store):
        if _known_dead(claim):
            return
        if claim.place == _place():
            raise _refusal(store, claim)
        renewed = _modified(store, CLAIM)
        if renewed is None:  # released in this moment
            continue
        if seen is None:
            seen, since = renewed, time.monotonic() - _age(store, renewed)
        elif renewed != seen:
            raise _refusal(store, claim)
        if time.monotonic() - since >= STALE_S:
            return
        time.sleep(LOOK_S)


def _refusal(store: Store, claim: Claim) -> InputError:
    who = f"process {claim.pid} on {claim.host}, since {claim.since}"
    return InputError(f"{store.uri}: another job writes there: {who}; wait for its end, or choose another folder")


def _read(store: Store) -> Claim | None:
    """The claim there; None where there is none."""
    try:
        return store.read_value(CLAIM, Claim)
    except FileNotFoundError:
        return None
    except ValueError:
        return _UNREADABLE


def _known_dead(claim: Claim) -> bool:
    """Of this machine, and no such process any more: its number may be another's by now."""
    return claim.place == _place() and _begun(claim.pid) != claim.begun


def _place() -> str:
    """Within which a process's number means one process: machine, start of the machine, and space of numbers."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _begun(pid: int) -> str | None:
    """When a process of this machine began, in ticks of its clock; on others than Linux only that it lives. None: dead."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "alive"
    return None if state in "ZX" else fields[18]


def _modified(store: Store, name: str) -> datetime | None:
    return store.fs.get_file_info(store.at(name)).mtime


def _age(store: Store, renewed: datetime) -> float:
    """Seconds since then by the storage's own clock, which is asked by writing a file."""
    name = f"_{uuid.uuid4().hex}.json"
    store.write(name, b"")
    try:
        return ((_modified(store, name) or renewed) - renewed).total_seconds()
    finally:
        store.delete(name)
