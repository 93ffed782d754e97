"""What docs/operations.md says to type for a second cluster on one machine, done as it stands."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.deploy.site import SHIPPED, Site
from tests.pages import blocks
from tests.support import slack


async def type_in(site: Site, line: str, home: Path) -> str:
    """What a line prints that is typed in the checkout, in a shell in which nothing is set."""
    done = await asyncio.to_thread(
        subprocess.run,
        ["sh", "-c", line],
        input="hello\n",
        cwd=site.root,
        env=site.environment(data="", listen="") | {"HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=slack(60),
    )
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout


async def test_a_second_cluster_is_started_talked_in_and_stopped(
    site: Site, directory: Path, clone: Callable[[], Path]
) -> None:
    """By variables and by a file; only the port and the place in the file are the test's own."""
    site.root = clone()
    (site.root / ".venv").symlink_to(sys.prefix)
    site.data = directory / "second"
    by_variables, file, by_file = (
        block.replace("127.0.0.1:7001", f"127.0.0.1:{site.port}").replace(
            "/srv/second", str(site.data)
        )
        for block in blocks("docs/operations.md", "## A second cluster on the same machine")
    )
    up, talk, down = by_variables.splitlines()
    assert f"2 gateways on 127.0.0.1:{site.port}" in await type_in(site, up, directory)
    assert "hello" in await type_in(site, talk, directory)
    assert site.kinds() == SHIPPED
    await type_in(site, down, directory)
    assert site.kinds() == {}

    (directory / "second.toml").write_text(file)
    up, down = by_file.splitlines()
    assert f"2 gateways on 127.0.0.1:{site.port}" in await type_in(site, up, directory)
    assert "hello" in await type_in(site, talk, directory)
    assert site.kinds() == SHIPPED
    await type_in(site, down, directory)
    assert site.kinds() == {}
