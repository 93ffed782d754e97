"""Radha, a guest, who gives up on servers soon."""

from __future__ import annotations

import asyncio

import hubbub
from hubbub.client import Client
from hubbub.client_events import ClientEvent
from hubbub.frames import Message

FAST = hubbub.Patience(
    connect_within=5, greet_within=0.3, answer_within=0.3, ask_within=5, bye_within=0.1
)


def client_of(address: str, name: str | None = "Radha") -> Client:
    """Radha at this server."""
    return hubbub.connect(address, name=name, patience=FAST)


async def told_until_a_message(client: Client) -> list[ClientEvent]:
    """All that she is told, the next message included."""
    told: list[ClientEvent] = []
    async with asyncio.timeout(10):
        async for event in client:
            told.append(event)
            if isinstance(event, Message):
                break
    return told


async def texts_of(client: Client, count: int) -> list[str]:
    """The next texts that she is told, this many."""
    texts: list[str] = []
    async with asyncio.timeout(10):
        async for event in client:
            if isinstance(event, Message):
                texts.append(event.text)
                if len(texts) == count:
                    break
    return texts
