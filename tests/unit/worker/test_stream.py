"""Positions and what is kept for repairs."""

from __future__ import annotations

from hypothesis import given, strategies as st

from hubbub.wire import BATCH_BYTES, Item, unpack_stream
from worker.stream import REFILL_AT_ONCE, Stream


def stream(most_bytes: int = 1 << 20, seconds: float = 60.0) -> Stream:
    """A stream of term 3."""
    return Stream(term=3, epoch=7, most_bytes=most_bytes, seconds=seconds)


def item(seq: int, size: int = 10) -> Item:
    """A message of some size."""
    return Item(1, 1, seq, 1, b"x" * size)


@given(st.lists(st.integers(0, 40_000), max_size=30))
def test_items_come_out_in_order_in_messages_of_bounded_size(sizes: list[int]) -> None:
    """“One ZeroMQ message of at most 64 KiB.”"""
    items = [item(seq, size) for seq, size in enumerate(sizes)]
    made = stream()
    payloads = made.add(items, 0.0)
    batches = [unpack_stream(payload) for payload in payloads]
    assert [each for batch in batches for each in batch.items] == items
    assert [batch.position for batch in batches] == list(range(1, len(batches) + 1))
    assert all(len(payload) <= BATCH_BYTES + 100 for payload in payloads)


def test_what_is_missing_can_be_had_again() -> None:
    """“It keeps the last minute of the stream.”"""
    made = stream()
    payloads = [made.add([item(n)], float(n))[0] for n in range(10)]
    assert made.refill(3, 5) == payloads[2:5]
    assert made.refill(9, 99) == payloads[8:]
    assert made.refill(11, 12) == []


def test_one_refill_does_not_fill_the_gateways_queue() -> None:
    """A queue holds 256 messages: the gateway asks again for the rest."""
    made = stream()
    for n in range(2 * REFILL_AT_ONCE):
        made.add([item(n)], 0.0)
    assert len(made.refill(1, 2 * REFILL_AT_ONCE) or []) == REFILL_AT_ONCE


def test_it_is_kept_in_bounded_memory_and_not_for_ever() -> None:
    """“In bounded memory”; “what is too old there comes from the rooms' logs”."""
    small = stream(most_bytes=1000)
    for n in range(100):
        small.add([item(n, 100)], 0.0)
    assert small.refill(1, 1) is None
    assert small.refill(100, 100) is not None
    short = stream(seconds=5.0)
    for n in range(100):
        short.add([item(n)], float(n))
    assert short.refill(94, 94) is None
    assert short.refill(95, 95) is not None


def test_the_position_is_repeated_without_items() -> None:
    """“No items: the position is repeated, not a new one.”"""
    made = stream()
    made.add([item(1)], 0.0)
    repeated = unpack_stream(made.repeat())
    assert (repeated.term, repeated.position, repeated.epoch, repeated.items) == (3, 1, 7, [])
