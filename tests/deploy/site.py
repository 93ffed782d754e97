"""A cluster that is started and stopped with the deploy commands, in a place of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from deploy import processes, ready
from deploy.place import ROOT, Place
from deploy.rpc import Supervisor
from tests.support import clean_environment, eventually, free_ports, slack

COMMAND_WITHIN = 180.0  # seconds; making an environment is a download


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str
    seconds: float

    @property
    def sentence(self) -> str:
        """The one line that it refused with."""
        assert self.status != 0, self.out
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.out + self.err
        return lines[0]


@dataclass
class Site:
    """A data directory, a port and the environment that names them."""

    data: Path
    port: int
    root: Path = ROOT
    settings: dict[str, object] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()  # a command to run the commands with, as setpriv

    @property
    def place(self) -> Place:
        data = self.data.resolve()
        recorded = data / "run_dir"
        run_dir = Path(recorded.read_text()) if recorded.exists() else data / "run"
        return Place(data, run_dir, (("127.0.0.1", self.port),))

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.place.socket)

    def environment(self, **settings: object) -> dict[str, str]:
        own = {"data": self.data, "listen": f"127.0.0.1:{self.port}", "venv": sys.prefix}
        given = {key: value for key, value in (own | self.settings | settings).items() if value}
        environ = clean_environment(**given)
        del environ["PYTHONPATH"]  # the commands must find the tree by themselves
        return environ

    async def run(self, command: str, *arguments: str, **settings: object) -> Done:
        """Run one of the deploy commands to its end."""
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *self.prefix,
            str(self.root / "deploy" / command),
            *arguments,
            env=self.environment(**settings),
            cwd="/",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(slack(COMMAND_WITHIN)):
                out, err = await process.communicate()
        except TimeoutError:
            process.kill()
            raise
        assert process.returncode is not None
        seconds = time.monotonic() - began
        return Done(process.returncode, out.decode(), err.decode(), seconds)

    async def up(self, **settings: object) -> Done:
        """deploy/up, which must succeed."""
        done = await self.run("up", **settings)
        assert done.status == 0, done.out + done.err
        return done

    async def down(self) -> Done:
        """deploy/down, which must succeed."""
        done = await self.run("down")
        assert done.status == 0, done.out + done.err
        return done

    def members(self) -> list[processes.Process]:
        """All that belongs to this cluster, supervisord too."""
        return processes.of_cluster(self.place)

    def kinds(self) -> dict[str, int]:
        """How many of each kind there are."""
        found = [process.kind for process in self.members()]
        return {kind: found.count(kind) for kind in sorted(set(found))}

    def pids(self) -> dict[str, int]:
        """supervisord's idea: program -> pid."""
        return {program.name: program.pid for program in self.supervisor.programs()}

    def supervisord(self) -> processes.Process:
        (found,) = (process for process in self.members() if process.kind == "supervisord")
        return found

    def serves(self, *gateways: str) -> bool:
        """Whether a ping makes its round trip and these gateways are known, now."""
        return ready.serving(("127.0.0.1", self.port), gateways, time.monotonic())

    async def comes_back(self, program: str, before: int) -> int:
        """Wait until a program that was `before` has another pid; that one."""

        def another() -> int:
            pid = self.pids()[program]
            return pid if pid != before else 0

        return await eventually(another, 5.0, what=f"{program} is back")

    def remove(self) -> None:
        """End whatever is left, and delete the directory."""
        if self.data.exists():
            processes.stop(self.members(), within=0.2)
            # They are killed by now; on a busy machine it takes longer until they are gone.
            processes.stop(self.members(), within=slack(10))
            assert self.members() == [], "what a test has started ends with it"
            run_dir = self.place.run_dir
            if not run_dir.is_relative_to(self.data):
                shutil.rmtree(run_dir, ignore_errors=True)
            shutil.rmtree(self.data, ignore_errors=True)


SHIPPED = {"broker": 2, "gateway": 2, "supervisord": 1, "worker": 2}


def copy_of_the_tree(target: Path) -> Path:
    """A fresh clone, with what is not committed yet."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source = ROOT / name
        if source.is_file():
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    return target


def new_site(directory: Path, **settings: object) -> Site:
    return Site(directory / "data", free_ports()[0], settings=settings)


def is_root() -> bool:
    return os.getuid() == 0
