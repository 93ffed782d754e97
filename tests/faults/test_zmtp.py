"""Streams of ZMTP are cut into frames, and messages left out of them."""

from __future__ import annotations

import socket
from itertools import pairwise

import zmq
from hypothesis import given, strategies as st

from tests.faults.zmtp import COMMAND, GREETING, LARGEST, LONG, MORE, Stream
from tests.support import slack

NULL = b"\xff" + bytes(7) + b"\x01\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
CURVE = NULL.replace(b"NULL\0", b"CURVE")


def frame(body: bytes, flags: int = 0) -> bytes:
    """One frame, as RFC 23 writes it: the length of a short one may have either form."""
    if len(body) > 255 or flags & LONG:
        return bytes([flags | LONG]) + len(body).to_bytes(8, "big") + body
    return bytes([flags, len(body)]) + body


frames = st.builds(
    frame,
    st.one_of(st.binary(max_size=20), st.integers(200, 600).map(bytes)),
    st.sampled_from([0, 0, 0, LONG, COMMAND, COMMAND | LONG]),
)
messages = st.lists(frames, max_size=8)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The same bytes in parts."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(edges)]


class Loser:
    """Notes each message that it is asked of, and loses those of odd length."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def __call__(self, message: bytes) -> bool:
        self.asked.append(message)
        return len(message) % 2 == 1


@given(messages, st.lists(st.integers(0, 5000), max_size=20))
def test_however_the_stream_is_cut_the_same_messages_are_looked_at_and_the_same_carried(
    each: list[bytes], cuts: list[int]
) -> None:
    whole, cut = Loser(), Loser()
    data = NULL + b"".join(each)
    at_once = Stream(whole).feed(data)
    stream = Stream(cut)
    in_parts = b"".join(stream.feed(piece) for piece in pieces(data, cuts))
    assert (in_parts, cut.asked) == (at_once, whole.asked)
    assert len(whole.asked) == sum(not one[0] & COMMAND for one in each)
    assert at_once == NULL + b"".join(one for one in each if _is_kept(one))


def _is_kept(one: bytes) -> bool:
    body = one[9:] if one[0] & LONG else one[2:]
    return bool(one[0] & COMMAND) or len(body) % 2 == 0


@given(st.binary(max_size=300), st.lists(st.integers(0, 5000), max_size=20), st.booleans())
def test_of_any_bytes_none_is_lost_or_changed_unless_a_message_is(
    data: bytes, cuts: list[int], greets: bool
) -> None:
    data = NULL * greets + data
    stream = Stream(lambda _: False)
    carried = b"".join(stream.feed(piece) for piece in pieces(data, cuts))
    assert carried + stream.end() == data


@given(messages, st.sampled_from([CURVE, NULL.replace(b"\x7f\x03", b"\x7f\x01"), bytes(GREETING)]))
def test_nothing_is_lost_of_what_is_encrypted_or_no_zmtp_3(
    each: list[bytes], greeting: bytes
) -> None:
    data = greeting + b"".join(each)
    assert Stream(lambda _: True).feed(data) == data


def test_the_greeting_is_carried_byte_by_byte_for_each_side_waits_for_the_others() -> None:
    stream = Stream(lambda _: True)
    assert [stream.feed(NULL[at : at + 1]) for at in range(GREETING)] == [
        NULL[at : at + 1] for at in range(GREETING)
    ]


def test_a_message_in_several_frames_is_lost_whole_or_not_at_all() -> None:
    asked: list[bytes] = []

    def loses(message: bytes) -> bool:
        asked.append(message)
        return message == b"lost"

    kept = frame(b"kept", MORE) + frame(b"lost", MORE) + frame(b"end")
    lost = frame(b"lost", MORE) + frame(b"kept", MORE) + frame(b"end")
    last = frame(b"last")
    assert Stream(loses).feed(NULL + kept + lost + last) == NULL + kept + last
    assert asked == [b"kept", b"lost", b"last"]


def test_what_claims_to_be_larger_than_any_message_is_carried_and_not_waited_for() -> None:
    stream = Stream(lambda _: True)
    huge = bytes([LONG]) + (LARGEST + 1).to_bytes(8, "big")
    assert stream.feed(NULL + frame(b"lost") + huge) == NULL + huge
    assert stream.feed(frame(b"no frame any more")) == frame(b"no frame any more")


def test_what_libzmq_sends_is_cut_into_its_messages() -> None:
    """The bytes of a real publisher, after a handshake by hand."""
    sent = [b"x/" + bytes(size) for size in (0, 1, 253, 254, 70000)]
    seen: list[bytes] = []

    def loses(message: bytes) -> bool:
        seen.append(message)
        return True

    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    publisher = context.socket(zmq.XPUB)
    publisher.rcvtimeo = int(slack(5000))  # ms
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=slack(5)) as subscriber:
            ready = frame(b"\x05READY\x0bSocket-Type\0\0\0\x03SUB", COMMAND)
            stream = Stream(loses)
            # Step by step, as peers do: what it is sent before its turn it may never look at.
            subscriber.sendall(NULL)
            carried = b""
            while len(carried) < GREETING:
                carried += stream.feed(subscriber.recv(10000))
            subscriber.sendall(ready)
            while b"READY" not in carried:
                carried += stream.feed(subscriber.recv(10000))
            subscriber.sendall(frame(b"\x09SUBSCRIBEx/", COMMAND))
            assert publisher.recv() == b"\x01x/"
            for message in sent:
                publisher.send(message)
            while len(seen) < len(sent):
                carried += stream.feed(subscriber.recv(10000))
    finally:
        context.destroy(linger=0)
    assert seen == sent
    assert carried.startswith(NULL[:12])
    assert carried[GREETING + 2 :].startswith(b"\x05READY")
    assert len(carried) < 200  # no message
