"""The exit statuses of a worker, for whoever starts it again or does not (supervisord.conf)."""

from __future__ import annotations

import errno

EX_CONFIG = 78  # only a person can mend it
EX_TRY_LATER = 75  # start it again
START_AGAIN_AFTER = 1.0  # seconds before it ends with that: or it would be tried in a busy loop

# What a full or failing disk says: only time, or room made by somebody, can mend it.
PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class TryLater(Exception):
    """What stops a worker now may be over in a moment: whoever started it is to start it again."""
