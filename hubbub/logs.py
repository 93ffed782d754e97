"""One line per record on stdout: time, level, process, `what=...` and its fields."""

from __future__ import annotations

import logging
import sys
import time

from hubbub.visible import visible


class _Line(logging.Formatter):
    """`2026-01-01T12:00:00.000Z INFO gateway-1.5f2c81 what=...`; UTC, so that machines compare."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = (
            f"{stamp}.{int(record.msecs):03}Z {record.levelname} {self._process}"
            f" {record.getMessage()}"
        )
        # What strangers send may end up in a reason or in an exception's text: whoever reads the
        # log in a terminal is shown it, and a line of theirs is never taken for one of ours.
        lines = [visible(line)]
        if record.exc_info:
            head, *rest = self.formatException(record.exc_info).split("\n")
            lines += [head, *("  " + visible(more) for more in rest)]
        return "\n".join(lines)


def setup(process: str, level: str = "INFO") -> logging.Logger:
    """Send all logging of this process to stdout and return its logger.

    Args:
        process: stands in each line, for example "gateway-1.5f2c81".
        level: the least level that is written.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Line(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    return logging.getLogger("hubbub")
