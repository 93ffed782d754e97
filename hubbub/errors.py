"""What can go wrong, as types that carry data, and as codes that travel in `error` frames.

HubbubError
  + ProtocolError
  |   + LocalProtocolError    we broke the protocol: a bug of ours
  |   + RemoteProtocolError   the peer broke it: it is told the code, then the connection closes
  + Refused                   well-formed, not possible or not allowed: becomes an `error` frame
  |   + OutcomeUnknown        neither done nor refused: ask again with the same id
  |   + EpochChanged          the cursor belongs to another numbering
  + Unreachable               no server could be reached, or the session could not be kept
  + ConfigError               a setting, file or port is wrong: the process must not start
  + LeaseLost                 another worker owns the shards: drop all that is held of them
"""

from __future__ import annotations

import enum


class Code(enum.StrEnum):
    """The `code` of an `error` frame. `retryable` says whether asking again later can help."""

    BAD_FRAME = "bad_frame"  # not a frame of this protocol
    TOO_LARGE = "too_large"  # a frame as a whole, or a text, over its limit
    WRONG_TIME = "wrong_time"  # a frame that this state of the connection does not take
    TIMEOUT = "timeout"  # the handshake, or taking what was sent, took too long
    BAD_NAME = "bad_name"  # a name that may not be one
    NAME_TAKEN = "name_taken"  # somebody else holds the name
    NO_SUCH_ROOM = "no_such_room"
    NO_SUCH_PERSON = "no_such_person"
    NO_SUCH_MESSAGE = "no_such_message"  # no message has this number, or it was deleted
    NOT_MEMBER = "not_member"  # join the room first
    NOT_ALLOWED = "not_allowed"
    BANNED = "banned"  # from the room
    MUTED = "muted"  # in the room
    BAD_QUERY = "bad_query"  # a search that cannot be understood
    BAD_LOGIN = "bad_login"  # the name or the password is wrong, or the token is no longer good
    BAD_PASSWORD = "bad_password"  # a new password that may not be one
    SUSPENDED = "suspended"  # the account is shut out
    CONFLICT = "conflict"  # this id was used for another request
    EXPIRED = "expired"  # the session to resume is over
    REPLACED = "replaced"  # the session was resumed on another connection
    EPOCH_CHANGED = "epoch_changed"  # the cursor is of another numbering, or above the head
    LIMIT = "limit"  # too many rooms, connections, tries or requests; `retry_after` says how long
    UNKNOWN = "unknown"  # neither done nor refused: repeat with the same id
    UNAVAILABLE = "unavailable"  # try later, or elsewhere
    INTERNAL = "internal"  # a bug of ours; the log has it

    @property
    def retryable(self) -> bool:
        """True when the same request may succeed later without any change to it."""
        return self in _RETRYABLE


_RETRYABLE = frozenset({Code.UNKNOWN, Code.UNAVAILABLE, Code.LIMIT, Code.TIMEOUT})


class HubbubError(Exception):
    """Base of every error that this project raises on purpose."""


class ProtocolError(HubbubError):
    """Somebody broke the protocol. `code` is what the peer is told."""

    def __init__(self, text: str, code: Code = Code.BAD_FRAME) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class LocalProtocolError(ProtocolError):
    """We tried to send what the protocol does not allow."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what the protocol does not allow. The connection ends after the answer."""


class Refused(HubbubError):
    """The request was understood and not carried out; the connection lives on.

    Attributes:
        code: what kind of refusal.
        text: a sentence that a person can act on.
        retry_after: seconds to wait before asking again, where that is known.
    """

    def __init__(self, code: Code, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.retry_after = retry_after


class OutcomeUnknown(Refused):
    """The request may or may not have been carried out. The same id can be asked again."""

    def __init__(self, text: str = "no answer in time; ask again with the same id") -> None:
        super().__init__(Code.UNKNOWN, text)


class EpochChanged(Refused):
    """The cursor belongs to another numbering; `epoch` and `head` are those of today.

    `room`: whose cursor is above its head, where that is why; then another room has its name now.
    """

    def __init__(self, text: str, epoch: int, head: int, room: str = "") -> None:
        super().__init__(Code.EPOCH_CHANGED, text)
        self.epoch = epoch
        self.head = head
        self.room = room


class Unreachable(HubbubError):
    """No address answered, or the connection was lost for longer than it may be."""


class ConfigError(HubbubError):
    """The process refuses to start. The text is one sentence for the operator."""


class LeaseLost(HubbubError):
    """Another worker has raised the term: nothing held in memory is true any more."""
