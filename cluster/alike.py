"""Have all machines of the cluster the same code and the same libraries? Else results depend on where a task has run."""

import hashlib
import socket
from pathlib import Path

from cluster.machines import answers, others
from fashion.causes import cause, line_of
from fashion.errors import InputError
from fashion.provenance import PACKAGES, versions

FOLDERS = ("fashion", "cluster")
ADVICE = "install the same on all machines, or send the code with the job (ray job submit --working-dir)"


def about(code: bool) -> dict[str, str]:
    """This machine's versions of the packages that results hang on, whatever they were built for, and with `code` a digest
    of ours."""
    installed = versions()
    known = {name: installed[name].partition("+")[0] for name in PACKAGES}
    return known | {"code": _digest()} if code else known


def _digest() -> str:
    digest = hashlib.blake2b(digest_size=8)
    root = Path(__file__).resolve().parent.parent
    for file in sorted(file for folder in FOLDERS for file in (root / folder).rglob("*.py")):
        digest.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def sent() -> bool:
    """Whether the code comes with the job, and is the same everywhere; Ray may be unpacking it at this moment."""
    import ray

    return "working_dir" in ray.get_runtime_context().runtime_env


def check_alike() -> None:
    """Raise InputError, naming the machine and what differs, where another one has other code or other libraries. Ray runs;
    machines that start later are not asked."""
    if not (nodes := others()):
        return
    code = not sent()
    here = about(code)
    for machine, there in sorted(answers(about, code, nodes=nodes).items()):
        if isinstance(there, Exception):
            raise InputError(f"{machine} cannot run this code ({line_of(cause(there))}); {ADVICE}")
        for name, value in here.items():
            if there.get(name) != value:
                raise InputError(
                    f"{machine} has {name} {there.get(name)}, and {socket.gethostname()} has {value}; {ADVICE}"
                )
