"""The kept corpus: small files named by what is in them, `corpus/<target>/<hash>`."""

from __future__ import annotations

import hashlib
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
MOST_FILES = 40  # of one target: what is kept is read by people, and replayed by every test run
MOST_BYTES = 2048  # of one that is added by itself


def name_of(data: bytes) -> str:
    """The name of its file."""
    return hashlib.sha256(data).hexdigest()[:16]


def load(target: str, root: Path = CORPUS) -> list[bytes]:
    """All inputs kept for a target, in the order of their names."""
    directory = root / target
    return [path.read_bytes() for path in sorted(directory.glob("*"))] if directory.is_dir() else []


def keep(target: str, data: bytes, root: Path = CORPUS) -> bool:
    """Add an input, unless it is too long or there are many already; whether it was added."""
    directory = root / target
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name_of(data)
    if path.exists() or len(data) > MOST_BYTES or len(list(directory.iterdir())) >= MOST_FILES:
        return False
    path.write_bytes(data)
    return True
