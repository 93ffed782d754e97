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
    from hubbub.client import Client as Client
    from hubbub.client import Stretch as Stretch
    from hubbub.client import connect as connect
    from hubbub.client_events import Disconnected as Disconnected
    from hubbub.client_events import EpochReset as EpochReset
    from hubbub.client_events import Lacking as Lacking
    from hubbub.client_events import Reconnected as Reconnected
    from hubbub.client_events import RoomLost as RoomLost
    from hubbub.client_retry import Patience as Patience
    from hubbub.errors import Code as Code
    from hubbub.errors import EpochChanged as EpochChanged
    from hubbub.errors import HubbubError as HubbubError
    from hubbub.errors import OutcomeUnknown as OutcomeUnknown
    from hubbub.errors import Refused as Refused
    from hubbub.errors import RemoteProtocolError as RemoteProtocolError
    from hubbub.errors import Unreachable as Unreachable
    from hubbub.frames import Event as Event
    from hubbub.frames import Message as Message
    from hubbub.frames import Presence as Presence

__version__ = "0.1.0"

_HOME = {
    "hubbub.client": "Client Stretch connect",
    "hubbub.client_events": "Disconnected EpochReset Lacking Reconnected RoomLost",
    "hubbub.client_retry": "Patience",
    "hubbub.errors": "Code EpochChanged HubbubError OutcomeUnknown Refused RemoteProtocolError"
    " Unreachable",
    "hubbub.frames": "Event Message Presence",
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'hubbub' has no attribute {name!r}")
    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
