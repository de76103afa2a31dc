"""The software bill of materials of what a cluster runs, as CycloneDX 1.6 JSON: each pinned package as it is installed, its
licence, and what it needs.

python cluster/bom.py [--lock requirements.txt] [--out bom.json]

The same packages give the same bytes. Exit status 2 where what is installed is not what is pinned.
"""

import argparse
import json
import re
import sys
import uuid
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path(__file__).resolve().parent.parent / "requirements.txt"
NAME = "fashion-retrieval"
_PIN = re.compile(r"^([\w.-]+)==([^\s;\\]+)(?: ; ([^\\\n]+))?", re.MULTILINE)


class NotAsPinned(ValueError):
    """What is installed is not what the lock says."""


def pinned(lock: str) -> dict[str, str]:
    """Name -> version of the packages that a lock wants on this platform."""
    found: dict[str, str] = {}
    for name, version, marker in _PIN.findall(lock):
        if not marker or Marker(marker.strip()).evaluate():
            found[canonicalize_name(name)] = version
    return found


def bill(pins: dict[str, str]) -> dict:
    """CycloneDX of these packages. Raises NotAsPinned, naming the first that is not installed, or in another version."""
    installed = {name: _installed(name, version) for name, version in pins.items()}
    refs = {name: f"pkg:pypi/{name}@{version}" for name, version in pins.items()}
    components = [
        {"type": "library", "bom-ref": refs[name], "name": name, "version": pins[name], "purl": refs[name]}
        | _licences(installed[name])
        for name in sorted(refs)
    ]
    needs = {name: sorted(refs[other] for other in _needs(installed[name]) if other in refs) for name in sorted(refs)}
    identity = uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(sorted(refs.values())))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{identity}",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": NAME, "name": NAME}},
        "components": components,
        "dependencies": [
            {"ref": NAME, "dependsOn": sorted(refs.values())},
            *({"ref": refs[name], "dependsOn": others} for name, others in needs.items()),
        ],
    }


def _installed(name: str, version: str) -> Distribution:
    try:
        found = distribution(name)
    except PackageNotFoundError:
        raise NotAsPinned(f"{name}: not installed, expected {version}; install what is pinned") from None
    if found.version.partition("+")[0] != version.partition("+")[0]:
        raise NotAsPinned(f"{name}: found {found.version}, expected {version}; install what is pinned")
    return found


def _needs(package: Distribution) -> Iterable[str]:
    """What it asks for on this platform, its extras left out."""
    for line in package.requires or ():
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            yield canonicalize_name(wanted.name)


def _licences(package: Distribution) -> dict:
    """As the package says: an SPDX expression, or the name of one; {} where it is silent, or says all of its text."""
    about = package.metadata
    for expression in about.get_all("License-Expression") or ():
        return {"licenses": [{"expression": expression}]}
    classes = [
        line.rpartition(" :: ")[2] for line in about.get_all("Classifier") or () if line.startswith("License :: ")
    ]
    said = [line.strip() for line in about.get_all("License") or ()]
    names = [name for name in classes or said if name and len(name) < 100 and "\n" not in name]
    return {"licenses": [{"license": {"name": name}} for name in names]} if names else {}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lock", type=Path, default=LOCK, help="pinned packages")
    parser.add_argument("--out", type=Path, default=Path("bom.json"), help="file to write")
    given = parser.parse_args()
    try:
        made = bill(pinned(given.lock.read_text()))
    except (OSError, NotAsPinned) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    given.out.write_text(json.dumps(made, indent=1) + "\n")
    print(f"{len(made['components'])} packages in {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
