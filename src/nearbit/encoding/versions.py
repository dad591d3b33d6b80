"""The versions of what decides the outputs of a network."""

import re
from importlib.metadata import version

TORCH = ("nearbit", "torch", "numpy", "pillow")
"""What decides them where torch computes."""


def library_versions(names: tuple[str, ...] = TORCH) -> dict[str, str]:
    """Return the installed versions of some packages."""
    return {name: version(name) for name in names}


def deciding_versions(names: tuple[str, ...] = TORCH) -> dict[str, str]:
    """Return the versions that keys of caches and runs hold; of nearbit the release, 0.1.0 for 0.1.dev7+g1a2b too.

    A version from git changes with every commit, which would make kept features and finished runs worthless.
    """
    versions = library_versions(names)
    (numbers,) = re.findall(r"^(?:\d+!)?(\d+(?:\.\d+)*)", versions["nearbit"])
    release = [*numbers.split("."), "0", "0"]
    return versions | {"nearbit": ".".join(release[: max(3, len(release) - 2)])}
