"""`python -m tests.faults.broken [NAME...]`: break the product on purpose, and see who notices.

The tree is copied, one breakage is made in the copy, and the commands that have to notice it are
run there, one after another, until one does.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.faults.breakages import BREAKAGES, Breakage, Edit
from tests.faults.results import record
from tests.support import ROOT, clean_environment

LEFT_OUT = (".git", ".venv", "var", "__pycache__", ".*cache")
WITHIN = 900.0  # seconds for one command
LINES = 6  # of what was said, in a result
# What a checker or a test says of what it found.
_SAYS = re.compile(r"^(?:E   +\S|FAILED |\s*(?:finding|FINDING)|seed \d+)", re.M)


class Outcome:
    """Whether a breakage was noticed, by which command, and what that said."""

    def __init__(self, breakage: Breakage) -> None:
        self.breakage = breakage
        self.noticed_by = ""
        self.said: list[str] = []
        self.seconds = 0.0

    def as_data(self) -> dict[str, object]:
        """For the record of results."""
        return {
            "promise": self.breakage.promise,
            "what": self.breakage.what,
            "noticed_by": self.noticed_by,
            "said": self.said,
            "seconds": round(self.seconds, 1),
        }


def broken_text(edit: Edit, text: str) -> str:
    """The text of a file after an edit.

    Raises:
        ValueError: what is to be replaced does not stand there as often as it should.
    """
    times = text.count(edit.old)
    if times != edit.times:
        raise ValueError(f"{edit.file}: stands {times} times, not {edit.times}: {edit.old!r}")
    return text.replace(edit.old, edit.new)


@contextmanager
def broken_copy(breakage: Breakage) -> Iterator[Path]:
    """A copy of the tree with the breakage in it; deleted afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="broken-"))
    try:
        tree = directory / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*LEFT_OUT))
        for edit in breakage.edits:
            path = tree / edit.file
            path.write_text(broken_text(edit, path.read_text(encoding="utf-8")), encoding="utf-8")
        yield tree
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def run(command: Sequence[str], tree: Path) -> tuple[int, str]:
    """Run `python -m COMMAND` in a tree; its exit status and all that it wrote."""
    environ = clean_environment() | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    environ["HUBBUB_TEST_SLACK"] = os.environ.get("HUBBUB_TEST_SLACK", "1")
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tree,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=WITHIN,
        check=False,
    )
    return done.returncode, done.stdout


def said(output: str) -> list[str]:
    """The lines that say what was found, the first few."""
    lines = [line.strip() for line in output.splitlines() if _SAYS.search(line)]
    return (lines or output.splitlines()[-LINES:])[:LINES]


def examine(breakage: Breakage) -> Outcome:
    """See whether a breakage is noticed."""
    outcome = Outcome(breakage)
    began = time.monotonic()
    with broken_copy(breakage) as tree:
        for command in breakage.noticed_by:
            status, output = run(command, tree)
            if status:
                outcome.noticed_by = " ".join(command)
                outcome.said = said(output)
                break
    outcome.seconds = time.monotonic() - began
    return outcome


def main(argv: Sequence[str]) -> int:
    """Examine the named breakages, or all; 0 when each was noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.broken", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; default: all of them")
    parser.add_argument("--record", action="store_true", help="keep it for docs/reliability.md")
    chosen = parser.parse_args(argv)
    known = {breakage.name: breakage for breakage in BREAKAGES}
    unknown = [name for name in chosen.names if name not in known]
    if unknown:
        parser.error(f"no such breakage: {', '.join(unknown)}; there are {', '.join(known)}")
    missed = 0
    for name in chosen.names or known:
        outcome = examine(known[name])
        missed += not outcome.noticed_by
        print(f"{name}: {outcome.noticed_by or 'NOT NOTICED'} ({outcome.seconds:.0f} s)")
        for line in outcome.said:
            print(f"    {line}")
        if chosen.record:
            record("breakages", name, outcome.as_data())
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
