"""“`supervisord -c supervisord.conf` by hand works too”"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.deploy.site import SHIPPED, Site
from tests.support import clean_environment, slack

# Runs in a network of its own, since the default port may be in use on this machine.
SCRIPT = """
import json, os, subprocess, sys, time
sys.path.insert(0, os.getcwd())
from deploy import processes, ready
from deploy.place import Place, ROOT

supervisord = [sys.executable, "-m", "supervisor.supervisord", "-c", "supervisord.conf"]
place = Place(ROOT / "var", ROOT / "var" / "run")
subprocess.run(supervisord, check=True)
until = time.monotonic() + float(sys.argv[1])
served = False
while not served and time.monotonic() < until:
    served = ready.serving(("127.0.0.1", 7000), ["gateway-1", "gateway-2"], until)
kinds = sorted(process.kind for process in processes.of_cluster(place))
interpreters = {
    os.readlink(f"/proc/{process.pid}/exe") for process in processes.of_cluster(place)
}
control = [sys.executable, "-m", "supervisor.supervisorctl", "-c", "supervisord.conf"]
subprocess.run([*control, "shutdown"], check=True, stdout=subprocess.DEVNULL)
while processes.of_cluster(place) and time.monotonic() < until:
    time.sleep(0.05)  # poll
left = [process.kind for process in processes.of_cluster(place)]
print(json.dumps({"served": served, "kinds": kinds, "exe": list(interpreters), "left": left}))
"""


async def test_supervisord_by_hand_with_no_variable_set(clone: Callable[[], Path]) -> None:
    """“with no variable set, on a fresh clone after installing (supervisord has no default for an
    unset variable and makes no directories)”"""
    root = clone()
    environ = clean_environment()
    for name in ("PYTHONPATH", "PYTHONUNBUFFERED"):
        del environ[name]
    script = [sys.executable, "-c", SCRIPT, str(slack(30))]
    alone = ["unshare", "--net", "--map-root-user"]
    if shutil.which("unshare") and _works([*alone, "ip", "link", "set", "lo", "up"]):
        script = [*alone, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *script]
    done = await asyncio.to_thread(
        subprocess.run,
        script,
        cwd=root,
        env=environ,
        capture_output=True,
        text=True,
        timeout=slack(60),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["served"], _logs(root)
    assert found["kinds"] == sorted(kind for kind, count in SHIPPED.items() for _ in range(count))
    # deploy/run finds the interpreter of the supervisord that it was started by.
    assert len(found["exe"]) == 1
    assert found["left"] == []


async def test_supervisord_by_hand_and_down(site: Site, clone: Callable[[], Path]) -> None:
    """Whoever started it, deploy/up sees it and deploy/down stops it."""
    site.root = clone()
    site.data = site.root / "var"
    (site.root / ".venv").symlink_to(sys.prefix)
    await asyncio.to_thread(
        subprocess.run,
        [".venv/bin/supervisord", "-c", "supervisord.conf"],
        env=site.environment(data=""),
        cwd=site.root,
        check=True,
    )
    told = (await site.up()).out
    assert "already" in told
    assert told.endswith("\nStop:  deploy/down\n")
    assert site.kinds() == SHIPPED
    await site.down()
    assert site.kinds() == {}


def _works(command: list[str]) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _logs(root: Path) -> str:
    return "\n".join(path.read_text() for path in sorted((root / "var" / "log").glob("*.log")))
