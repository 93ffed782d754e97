"""The environment that the commands make, and the tree they make it from."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.site import SHIPPED, Site, is_root

SOMEBODY = 64321  # a user that no machine has
# setpriv itself still has root's capabilities while it starts its program: hence one more step.
AS_SOMEBODY = ("setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups", "env")
SYSTEM_PYTHON = "/usr/bin/python3"


def pristine(tree: Path) -> dict[str, int]:
    """Every file of a tree but Python's own caches, with its time of change."""
    return {
        str(path.relative_to(tree)): path.stat().st_mtime_ns
        for path in tree.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def python_for_somebody() -> str:
    """An interpreter that an ordinary user may run: that of the tests may lie in root's home."""
    for python in (getattr(sys, "_base_executable", sys.executable), SYSTEM_PYTHON):
        code = "import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))"
        done = subprocess.run([*AS_SOMEBODY, python, "-c", code], check=False, capture_output=True)
        if done.returncode == 0:
            return python
    raise AssertionError("no Python 3.11 to 3.14 with ensurepip that an ordinary user may run")


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_one_command_on_a_fresh_machine(
    site: Site, clone: Callable[[], Path], directory: Path
) -> None:
    """“Only wheels are installed”; “without the stamp the environment is made anew”"""
    site.root = clone()
    site.settings["venv"] = ""
    first = await site.up()
    assert "Making the environment" in first.out
    venv = site.root / ".venv"
    assert (venv / "stamp").exists()
    assert site.serves("gateway-1", "gateway-2")
    # From a directory of its own: nothing of the checkout may be found by accident.
    shown = await asyncio.to_thread(
        subprocess.run,
        [str(venv / "bin" / "hubbub"), "--help"],
        capture_output=True,
        cwd="/",
        text=True,
    )
    assert shown.returncode == 0, shown.stderr
    assert "chat" in shown.stdout

    # A second way to be interrupted: everything there but the stamp.
    (venv / "stamp").unlink()
    refused = await site.run("up")
    assert "processes run on it" in refused.sentence
    assert site.kinds() == SHIPPED
    await site.down()
    marker = venv / "left-over"
    marker.touch()
    assert "Making the environment" in (await site.up()).out
    assert not marker.exists()
    await site.down()

    # Other requirements make another environment.
    requirements = site.root / "requirements.txt"
    requirements.write_text(requirements.read_text() + "# changed\n")
    assert "Making the environment" in (await site.up()).out
    assert "Making" not in (await site.up()).out


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_two_that_make_the_environment_at_once(
    site: Site, another_site: Site, clone: Callable[[], Path], directory: Path
) -> None:
    for each in (site, another_site):
        each.root = clone()
        each.settings["venv"] = directory / "venv"
    first, second = await asyncio.gather(site.up(), another_site.up())
    assert (first.out + second.out).count("Making the environment") == 1
    assert site.kinds() == another_site.kinds() == SHIPPED


@pytest.mark.skipif(not is_root(), reason="only root can become somebody else")
@pytest.mark.timeout(600)
async def test_an_ordinary_user_and_a_checkout_that_he_cannot_write(
    site: Site, clone: Callable[[], Path], directory: Path
) -> None:
    """“A read-only checkout works with `HUBBUB_VENV` and `HUBBUB_DATA` elsewhere”; “root and an
    ordinary user both work”"""
    site.root = clone()
    before = pristine(site.root)
    home = directory / "home"
    home.mkdir()
    shutil.chown(home, SOMEBODY, SOMEBODY)
    site.data = home / "data"
    site.settings |= {"venv": home / "venv", "python": python_for_somebody()}
    site.prefix = (*AS_SOMEBODY, f"HOME={home}")
    await site.up()
    assert site.kinds() == SHIPPED
    assert site.data.stat().st_uid == SOMEBODY
    assert "already" in (await site.up()).out
    refused = await site.run("up", venv="")
    assert "HUBBUB_VENV" in refused.sentence
    await site.down()
    assert site.kinds() == {}
    assert pristine(site.root) == before


async def test_a_python_that_is_named_must_be_the_environments(site: Site) -> None:
    """The environment of the running tests is in use: it is not replaced under their feet."""
    other = site.data.parent / "python3"
    other.write_text(
        '#!/bin/sh\ncase "$*" in *version_info*3*) echo 3.14.99 ;; *) echo 3.14 ;; esac\n'
    )
    other.chmod(0o755)
    refused = await site.run("up", python=other)
    assert "processes run on it" in refused.sentence
    assert Path(sys.prefix, "stamp").exists()


async def test_a_place_named_from_the_root_directory_is_the_same_place(
    site: Site, directory: Path
) -> None:
    """The stamp of an environment tells where it is: `//venv` would be another one."""
    (directory / "no-environment").touch()
    refused = await site.run("up", venv=str(directory).removeprefix("/"))
    assert f" {directory} is not empty" in refused.sentence


async def test_down_needs_no_environment(site: Site, directory: Path) -> None:
    """One who forgets HUBBUB_VENV can stop the cluster all the same."""
    await site.up()
    done = await site.run("down", venv=directory / "gone")
    assert done.status == 0, done.err
    assert site.kinds() == {}


@pytest.mark.timeout(600)
async def test_the_tests_do_not_see_the_settings_of_a_cluster(
    site: Site, clone: Callable[[], Path]
) -> None:
    """“`deploy/test` never touches a running cluster”: not even when called with its settings."""
    site.root = clone()
    for path in (site.root / "tests").rglob("test_*.py"):
        path.unlink()
    (site.root / "tests" / "test_only.py").write_text(
        "import os\n\n\n"
        "def test_no_setting_is_seen() -> None:\n"
        '    seen = {name for name in os.environ if name.startswith("HUBBUB_")}\n'
        '    assert seen <= {"HUBBUB_VENV", "HUBBUB_TEST_SLACK", "HUBBUB_PYTHON"}\n'
    )
    before = pristine(site.root)
    done = await site.run("test", "tests/test_only.py", "-q", gateways=3, server="127.0.0.1:1")
    assert "1 passed" in done.out.strip().splitlines()[-1], done.out + done.err
    assert pristine(site.root) == before, "the tools leave nothing in the tree"


@pytest.mark.timeout(600)
async def test_what_fails_before_pytest_is_said_at_the_end(
    site: Site, clone: Callable[[], Path]
) -> None:
    site.root = clone()
    for path in (site.root / "tests").rglob("test_*.py"):
        path.unlink()
    (site.root / "tests" / "test_only.py").write_text(
        "import os\n\n\ndef test_it() -> None:\n    x: int = ''\n"
    )
    done = await site.run("test", "tests/test_only.py")
    assert done.status != 0
    *_, failed, summary = done.out.strip().splitlines()
    assert "FAILED mypy" in done.out
    assert "FAILED ruff check ." in done.out
    assert "1 passed" in summary, done.out
    assert failed
