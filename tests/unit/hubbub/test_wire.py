"""The bus frames: what is packed comes out again, and nothing else does any harm."""

import contextlib

import pytest
from hypothesis import given, strategies as st

from hubbub import frames, wire
from hubbub.errors import RemoteProtocolError

u64 = st.integers(0, 2**64 - 1)
items = st.lists(
    st.builds(wire.Item, st.integers(0, 255), u64, u64, u64, st.binary(max_size=50)), max_size=8
)


@given(u64, u64, u64, items)
def test_a_stream_batch_comes_out_as_it_went_in(
    term: int, position: int, epoch: int, batch: list[wire.Item]
) -> None:
    data = b"xx" + wire.pack_stream(term, position, epoch, batch)
    assert wire.unpack_stream(data, 2) == wire.StreamBatch(term, position, epoch, batch)
    assert wire.peek_stream(data, 2) == (term, position, len(batch))


@given(items, st.data())
def test_a_stream_batch_that_is_cut_anywhere_is_refused(
    batch: list[wire.Item], data: st.DataObject
) -> None:
    whole = wire.pack_stream(1, 2, 3, batch)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(RemoteProtocolError):
        wire.unpack_stream(whole[:cut])


@given(st.binary(max_size=200))
def test_garbage_on_the_bus_gives_a_remote_protocol_error_and_nothing_else(garbage: bytes) -> None:
    for decode in (
        wire.decode_to_gateway,
        wire.decode_to_owner,
        wire.unpack_stream,
        wire.peek_stream,
    ):
        with contextlib.suppress(RemoteProtocolError):
            decode(garbage)


def test_a_deeply_nested_bus_frame_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        wire.decode_to_owner(b"\x91" * 10_000)


def test_a_batch_of_asks_comes_out_as_it_went_in() -> None:
    say = frames.Say(ref=1, id=b"x" * 16, room="lobby", text="hi")
    batch = wire.Batch(
        "g", 1, 2, 1, False, [wire.Ask(5, 6, 7, say), wire.Ask(6, 6, 7, wire.Lost())]
    )
    assert wire.decode_to_owner(wire.encoder.encode(batch)) == batch


def test_a_frame_from_a_newer_version_with_more_fields_is_still_understood() -> None:
    """“New fields get a default: old and new processes meet during every deploy.”"""
    known = wire.encoder.encode(["Alive", "gateway-1", 3, 4, "a field of tomorrow"])
    assert wire.decode_to_owner(known) == wire.Alive("gateway-1", 3, 4)


def test_no_bus_topic_is_the_beginning_of_another() -> None:
    topics = [wire.STREAM_TOPIC, *(wire.shard_topic(n) for n in range(wire.SHARDS))]
    topics += [wire.gateway_topic(f"gateway-{n}") for n in range(20)]
    topics += [wire.worker_topic("gateway-1"), wire.worker_topic("worker-1")]
    for one in topics:
        assert [other for other in topics if other.startswith(one)] == [one]
