"""The file `run_dir` in a data directory: where a cluster's unix sockets are, if not in `run`.

Needs the standard library alone: `deploy/down` reads it also when the environment is gone.
"""

from __future__ import annotations

import os
from pathlib import Path

from hubbub.errors import ConfigError

MAX_UNIX_PATH = 107  # bytes, unix(7)
LONGEST_SOCKET_NAME = 24  # "/broker-99.subscribe.lock" and kin, with room


def fits(directory: Path) -> bool:
    """Whether the sockets in a directory have paths that are short enough."""
    return len(os.fsencode(directory)) + 1 + LONGEST_SOCKET_NAME <= MAX_UNIX_PATH


def read(data: Path) -> Path | None:
    """What is recorded in a data directory; None when nothing is, or an empty file was left.

    Raises:
        ConfigError: it cannot be read, or can be no directory for sockets.
    """
    path = data / "run_dir"
    try:
        # One byte more than fits is enough to see that it does not.
        with path.open("rb") as file:
            found = Path(os.fsdecode(file.read(MAX_UNIX_PATH + 1).removesuffix(b"\n")))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    if found == Path():
        return None
    if not found.is_absolute() or "\0" in str(found) or not fits(found):
        raise ConfigError(
            f"{path} names no directory for sockets; remove it while nothing of the cluster runs"
        )
    return found


def write(data: Path, directory: Path) -> None:
    """Record a directory, whole or not at all; it must be one that `read` takes.

    Raises:
        OSError: it cannot be written.
    """
    # Several processes may do this at once.
    fresh = data / f"run_dir.{os.getpid()}"
    with fresh.open("wb") as file:
        file.write(os.fsencode(directory))
        file.flush()
        os.fsync(file.fileno())  # or a power cut leaves the name without what it names
    fresh.replace(data / "run_dir")
