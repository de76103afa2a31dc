"""Where a result came from."""

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("fashion-retrieval", "ray", "torch", "torchvision", "pyarrow", "numpy")


def versions() -> dict[str, str]:
    """Python and the packages that a result depends on."""
    by_name = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            by_name[name] = version(name)
        except PackageNotFoundError:  # run from a checkout that is not installed
            by_name[name] = "unknown"
    return by_name


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
