"""`python -m tests.faults.counted REPORT`: keep how many cases docs/reliability.md counts.

REPORT is what `deploy/test --junitxml=REPORT` has left. Counted are the files and directories of
tests that docs/generate_reliability.py names.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.faults.results import record


def passed(report: Path, paths: Sequence[str]) -> Counter[str]:
    """How many cases passed in each path.

    Raises:
        ValueError: one did not pass.
    """
    counts: Counter[str] = Counter()
    for case in ET.parse(report).iter("testcase"):
        name = str(case.get("classname", "")).replace(".", "/")
        if any(part.tag in ("failure", "error", "skipped") for part in case):
            raise ValueError(f"{name}: {case.get('name')} did not pass")
        counts.update(path for path in paths if f"{name}/".startswith(f"{path[:-3]}/"))
        counts.update(path for path in paths if name.startswith(f"{path}/"))
    return counts


def main(argv: Sequence[str]) -> int:
    """Count and record."""
    from docs.generate_reliability import counted_paths

    for path, count in passed(Path(argv[0]), counted_paths()).items():
        record("tests", path, {"passed": count})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
