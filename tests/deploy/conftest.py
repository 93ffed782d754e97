"""Fixtures of the deploy tests."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.site import Site, copy_of_the_tree, new_site


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short, fresh directory, which every user may enter."""
    with tempfile.TemporaryDirectory(prefix="hub-", ignore_cleanup_errors=True) as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture
def site(directory: Path) -> Iterator[Site]:
    """A place for a cluster; nothing of it is left afterwards."""
    site = new_site(directory)
    yield site
    site.remove()


@pytest.fixture
def another_site(directory: Path) -> Iterator[Site]:
    site = new_site(directory / "another")
    yield site
    site.remove()


@pytest.fixture
def clone(directory: Path) -> Callable[[], Path]:
    """Makes a copy of the tree, as a fresh clone is."""
    return lambda: copy_of_the_tree(directory / "clone")
