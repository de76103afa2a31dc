"""Let NumPy and faiss run at their best: each has an OpenBLAS of its own, whose speed depends on the kernel that it picks.

A variable in the environment can force a slow one, and an OpenBLAS that is older than the processor picks a slow one
itself (faiss 1.15's takes an AMD EPYC with AVX-512 for a Barcelona). So every kernel is tried in a process of its own, and
the benchmark starts again with the one that is fastest for the peer.
"""

import os
import subprocess
import sys

KERNELS = ("", "Haswell", "Zen", "SkylakeX")  # "": what the library picks itself
FORCED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
CHOSEN = "BENCHMARK_KERNEL"
TRY = """
import sys, time, numpy as np
x, y = (np.random.default_rng(0).standard_normal((n, 128), dtype=np.float32) for n in (2000, 100000))
if sys.argv[1] == "faiss":
    import faiss
    index = faiss.IndexFlatIP(128)
    index.add(y)
    work = lambda: index.search(x, 50)
else:
    work = lambda: x @ y.T
seconds = []
for _ in range(3):
    began = time.process_time()
    work()
    seconds.append(time.process_time() - began)
print(2 * x.size * len(y) / min(seconds) / 1e9)
"""


def best_kernel(library: str = "faiss") -> None:
    """Start this script again with the OpenBLAS kernel that `library` (faiss or numpy) is fastest with, and say which."""
    if CHOSEN in os.environ:
        print(os.environ[CHOSEN])
        return
    clean = {name: value for name, value in os.environ.items() if name not in FORCED}
    speeds = {}
    for kernel in KERNELS:
        tried = (
            clean
            | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            | ({"OPENBLAS_CORETYPE": kernel} if kernel else {})
        )
        done = subprocess.run([sys.executable, "-c", TRY, library], env=tried, capture_output=True, text=True)
        if done.returncode == 0:
            speeds[kernel] = float(done.stdout.split()[-1])
    best = max(speeds, key=speeds.get)
    said = ", ".join(f"{kernel or 'its own choice'} {speed:.0f}" for kernel, speed in speeds.items())
    unset = [f"{name}={os.environ[name]}" for name in FORCED if name in os.environ]
    text = f"kernels of OpenBLAS, GFLOP/s of {library} by a thread: {said}; used: {best or 'its own choice'}"
    if unset:
        text += f" (the environment had {', '.join(unset)})"
    chosen = clean | ({"OPENBLAS_CORETYPE": best} if best else {}) | {CHOSEN: text}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.argv], chosen)


def spread(values: list[float]) -> str:
    """The median, and from the least to the greatest."""
    ordered = sorted(values)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return f"{middle:.2f} ({ordered[0]:.2f} to {ordered[-1]:.2f})"
