"""The exit statuses of a worker, for whoever starts it again or does not (supervisord.conf)."""

from __future__ import annotations

import errno
import sqlite3

EX_CONFIG = 78  # only a person can mend it
EX_TRY_LATER = 75  # start it again
START_AGAIN_AFTER = 1.0  # seconds before it ends with that: or it would be tried in a busy loop

# Said by a full or failing disk, and a locked database: it may pass, and tells nothing of the data.
_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_OF_SQLITE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
)


class TryLater(Exception):
    """What stops a worker now may be over in a moment: whoever started it is to start it again."""


def is_passing(error: object) -> bool:
    """Whether what the disk or the database said may be over in a moment."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _OF_SQLITE  # the low byte is the kind, the rest of it the details
    return getattr(error, "errno", None) in _OF_DISKS
