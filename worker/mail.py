"""What goes out to gateways: answers in messages of a bounded size. Thin: encodes and publishes."""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec.structs import replace

from hubbub.errors import Code
from hubbub.frames import (
    AuditLog,
    Error,
    Found,
    Page,
    PeerList,
    RestrictionList,
    RoomList,
    Roster,
    States,
    Welcome,
)
from hubbub.wire import (
    BATCH_BYTES,
    MAX_BUS_BYTES,
    MESSAGE,
    STREAM,
    STREAM_TOPIC,
    Answer,
    Answers,
    Fetched,
    ToGateway,
    encoder,
    gateway_topic,
)

# Bytes in messagepack, roughly, and rather too many.
_PLAIN = 64
_PERSON = 80
_ROOM = 160
LARGEST = MAX_BUS_BYTES - 1024  # bytes of a payload, which goes out with its topic
Publish = Callable[..., bool]


class Mail:
    """Answers of one turn, by gateway, and all else that is sent.

    Args:
        publish: `Bus.publish`.
    """

    def __init__(self, publish: Publish, term: int, log: logging.Logger) -> None:
        self._publish = publish
        self._log = log
        self._term = term
        self._answers: dict[tuple[str, bool], list[Answer]] = {}

    def add(self, gateway: str, answer: Answer, *, everywhere: bool) -> None:
        """Queue one answer; `everywhere`: it was asked for again: through all brokers."""
        self._answers.setdefault((gateway, everywhere), []).append(answer)

    def flush(self, position: int, taken: Callable[[str], int]) -> None:
        """Send what is queued, all of it true at `position`."""
        queued, self._answers = self._answers, {}
        for (gateway, everywhere), answers in queued.items():
            for part in _split(answers):
                frame = Answers(self._term, position, taken(gateway), part)
                self.send(gateway, frame, everywhere=everywhere)

    def send(self, gateway: str, frame: ToGateway, *, everywhere: bool = False) -> None:
        """Send one frame to one gateway."""
        payload = encoder.encode(frame)
        if len(payload) > LARGEST:
            if isinstance(frame, Answers) and len(frame.answers) > 1:
                # Sizes were guessed: nobody goes without an answer because of another's.
                half = len(frame.answers) // 2
                for part in (frame.answers[:half], frame.answers[half:]):
                    self.send(gateway, replace(frame, answers=part), everywhere=everywhere)
                return
            # It would cost its receivers their connection to the broker, again and again.
            self._log.error("what=too_large gateway=%s bytes=%d", gateway, len(payload))
            if not isinstance(frame, Answers):
                return
            no = frame.answers[0].no
            error = Error(Code.TOO_LARGE, "the answer is too large to be sent; ask for less")
            payload = encoder.encode(
                Answers(frame.term, frame.position, frame.taken, [Answer(no, error)])
            )
        self._publish(gateway_topic(gateway), MESSAGE, payload, everywhere=everywhere)

    def tell_all(self, payload: bytes, *, everywhere: bool = False) -> None:
        """Publish one batch of the stream."""
        self._publish(STREAM_TOPIC, STREAM, payload, everywhere=everywhere)

    def refill(self, gateway: str, payload: bytes) -> None:
        """Send one batch of the stream to one gateway again."""
        self._publish(gateway_topic(gateway), STREAM, payload, everywhere=True)


def _split(answers: list[Answer]) -> list[list[Answer]]:
    parts: list[list[Answer]] = []
    room = 0
    for answer in answers:
        size = _size(answer)
        if size > room or not parts:
            parts.append([])
            room = BATCH_BYTES
        parts[-1].append(answer)
        room -= size
    return parts


def _size(answer: Answer) -> int:
    reply = answer.reply
    size = _PLAIN + sum(_PLAIN + _PERSON * len(each.roster) for each in answer.rooms)
    if isinstance(reply, Page):
        size += sum(len(memoryview(raw)) for raw in reply.events)
    elif isinstance(reply, Fetched):
        size += sum(len(body) + 16 for _, _, body in reply.events)
    elif isinstance(reply, Roster):
        size += _PERSON * len(reply.members)
    elif isinstance(reply, PeerList):
        size += _PERSON * len(reply.peers)
    elif isinstance(reply, RoomList | States | Welcome):
        size += _ROOM * len(reply.rooms)
    elif isinstance(reply, RestrictionList):
        size += _ROOM * len(reply.restrictions)
    elif isinstance(reply, AuditLog):
        size += _ROOM * len(reply.entries)
    elif isinstance(reply, Found):
        for hit in reply.hits:
            size += sum(len(memoryview(raw)) for raw in (hit.message, *hit.before, *hit.after))
    return size
