"""An outbox: bytes, age, and who takes nothing."""

from __future__ import annotations

from gateway.outbox import Outbox


class Socket:
    """A transport whose peer takes as much as the test says."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.waiting = 0

    def write(self, data: bytes, /) -> None:
        self.writes.append(data)
        self.waiting += len(data)

    def get_write_buffer_size(self) -> int:
        return self.waiting


def test_what_a_turn_has_goes_out_in_one_write() -> None:
    socket = Socket()
    outbox = Outbox(socket, 100, 10.0)
    for part in (b"a", b"b", b"c"):
        outbox.put(part)
    outbox.flush()
    outbox.flush()
    assert socket.writes == [b"abc"]


def test_it_is_full_by_bytes_until_the_socket_has_taken_some() -> None:
    socket = Socket()
    outbox = Outbox(socket, 100, 10.0)
    outbox.put(b"x" * 90)
    outbox.flush()
    assert outbox.left == 10
    assert not outbox.fits(11)
    socket.waiting = 20
    assert outbox.fits(11)
    assert outbox.left == 80


def test_it_is_full_by_age_until_it_has_been_empty() -> None:
    socket = Socket()
    outbox = Outbox(socket, 1000, 3.0)
    outbox.put(b"x" * 10)
    outbox.flush()
    for second in range(3):
        assert outbox.fits(1)
        socket.waiting -= 1  # it takes some, but never all
        assert outbox.look(second, 1.0) == 0.0
    assert not outbox.fits(1)
    assert outbox.left < 0
    socket.waiting = 0
    assert outbox.look(9.0, 1.0) is None
    assert outbox.fits(1)


def test_it_knows_how_long_a_peer_has_taken_nothing() -> None:
    socket = Socket()
    outbox = Outbox(socket, 1000, 100.0)
    outbox.put(b"x" * 10)
    outbox.flush()
    assert [outbox.look(second, 1.0) for second in range(4)] == [0.0, 1.0, 2.0, 3.0]
    outbox.put(b"y")
    outbox.flush()
    assert outbox.look(4.0, 1.0) == 4.0
    socket.waiting -= 1
    assert outbox.look(5.0, 1.0) == 0.0


def test_it_knows_how_much_too_much_it_holds_whether_it_has_aged_or_not() -> None:
    socket = Socket()
    outbox = Outbox(socket, 100, 3.0)
    outbox.put(b"x" * 70)
    assert outbox.excess == -30
    outbox.flush()
    outbox.put(b"x" * 50)
    assert outbox.excess == 20
    for second in range(4):
        outbox.look(second, 1.0)
    outbox.put(b"x" * 7)
    assert outbox.excess == 27
    socket.waiting = 10
    assert outbox.excess == -33
