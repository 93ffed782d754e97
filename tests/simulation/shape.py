"""How large a run is, and what it is made of, as its seed decides."""

from __future__ import annotations

import random
from typing import NamedTuple

import msgspec

from hubbub.settings import Settings

# What the product does by itself within seconds, within less: so a run is short. All of these are
# settings; what is none stays what it is.
SETTINGS = Settings(
    handshake_within=4.0,
    beat_after=4.0,
    close_after=12.0,
    stalled_after=6.0,
    request_within=8.0,
    drain_within=2.5,
    left_after=0.8,
    resume_within=6.0,
    gateway_lease=2.5,
    hung_after=1.0,
    unread_answers=4096,
)


class Shape(NamedTuple):
    """One run."""

    settings: Settings
    gateways: int
    accounts: int
    devices: int  # of each account
    guests: int
    asks: int
    faults: int
    seconds: float  # in which all of it is asked, and all faults begin
    loss: float  # of frames on the bus, all the time
    doubling: float
    jitter: float  # seconds
    grain: float  # seconds


def shape_of(chance: random.Random) -> Shape:
    """Draw one. Most are small: what two faults at the same moment do is seen best there."""
    large = chance.random() < 0.08
    settings = SETTINGS
    if chance.random() < 0.3:
        # Nothing is kept for long: what is missing has to be read from logs.
        settings = msgspec.structs.replace(settings, stream_bytes=1024)
    if chance.random() < 0.3:
        settings = msgspec.structs.replace(settings, outbox_bytes=4096, outbox_age=1.0)
    if chance.random() < 0.3:
        settings = msgspec.structs.replace(settings, gather=0.0)
    if chance.random() < 0.4:
        # Gateways give up what they ask, and an owner that hears nothing begins a new term.
        settings = msgspec.structs.replace(settings, request_within=2.0)
    noisy = chance.random()
    return Shape(
        settings=settings,
        gateways=3 if large else chance.choice((2, 2, 3)),
        accounts=4 if large else chance.choice((2, 2, 3)),
        devices=chance.choice((1, 2)),
        guests=chance.choice((0, 0, 1, 1, 2)),
        asks=60 if large else chance.randint(10, 28),
        faults=10 if large else chance.choice((0, 1, 2, 2, 3, 3, 4, 5)),
        seconds=4.0 if large else chance.uniform(1.2, 2.5),
        loss=chance.choice((0.01, 0.05, 0.15)) if noisy < 0.3 else 0.0,
        doubling=chance.choice((0.02, 0.2)) if 0.2 < noisy < 0.5 else 0.0,
        jitter=chance.choice((0.002, 0.002, 0.01, 0.05, 0.3)),
        grain=chance.choice((0.0, 0.0, 0.002, 0.02)),
    )
