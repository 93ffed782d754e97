"""Hubbub: a self-hosted chat cluster. `hubbub.connect` is the client library.

    async with hubbub.connect("127.0.0.1:7000", name="echo") as client:
        await client.join("lobby")
        async for message in client.messages("lobby"):
            ...

The names below are loaded when they are first used: the server processes import this package too.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubbub.client import (
        Client as Client,
        RoomView as RoomView,
        SearchHit as SearchHit,
        SearchResult as SearchResult,
        Stretch as Stretch,
        connect as connect,
    )
    from hubbub.client_events import (
        Disconnected as Disconnected,
        EpochReset as EpochReset,
        Lacking as Lacking,
        Reconnected as Reconnected,
        RoomLost as RoomLost,
    )
    from hubbub.client_retry import Patience as Patience
    from hubbub.errors import (
        Code as Code,
        EpochChanged as EpochChanged,
        HubbubError as HubbubError,
        OutcomeUnknown as OutcomeUnknown,
        Refused as Refused,
        RemoteProtocolError as RemoteProtocolError,
        Unreachable as Unreachable,
    )
    from hubbub.frames import (
        Announcement as Announcement,
        Event as Event,
        Invited as Invited,
        Joined as Joined,
        Marked as Marked,
        Message as Message,
        Parted as Parted,
        Presence as Presence,
        Typists as Typists,
    )

__version__ = "0.1.0"

_HOME = {
    "hubbub.client": "Client RoomView SearchHit SearchResult Stretch connect",
    "hubbub.client_events": "Disconnected EpochReset Lacking Reconnected RoomLost",
    "hubbub.client_retry": "Patience",
    "hubbub.errors": "Code EpochChanged HubbubError OutcomeUnknown Refused RemoteProtocolError"
    " Unreachable",
    "hubbub.frames": "Announcement Event Invited Joined Marked Message Parted Presence Typists",
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'hubbub' has no attribute {name!r}")
    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
