"""Which gateways live: heard of lately, or answering when asked. Pure."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from worker.inbox import Inbox

MOST_GATEWAYS = 1024
FORGET_AFTER = 70.0  # seconds of silence of one that has no session: above what a session is kept
PROBE_WITHIN = 0.5  # seconds
PROBE_WITHIN_UNSURE = 2.0  # while a broker of ours is silent, its way to us may be the broken part


class Gateway:
    """One gateway process."""

    __slots__ = ("draining", "gone", "heard", "id", "inbox", "nonce", "probed")

    def __init__(self, id: str, now: float) -> None:
        self.id = id
        self.heard = now
        self.gone = False  # declared so; until it is heard of again
        self.draining = False  # it said that it is about to exit
        self.probed: float | None = None
        self.nonce = 0
        self.inbox = Inbox(id)


class Verdict(NamedTuple):
    """What watching has found."""

    gone: list[str]
    forgotten: list[str]


class Gateways:
    """All gateways that this owner has heard of, or whose sessions it has found.

    Args:
        lease: seconds of silence after which one that was not asked counts as gone.
    """

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._all: dict[str, Gateway] = {}
        self._judged = float("-inf")

    def all(self) -> list[Gateway]:
        """Every gateway known."""
        return list(self._all.values())

    def get(self, id: str) -> Gateway | None:
        """A gateway that is known."""
        return self._all.get(id)

    def heard(self, id: str, now: float) -> Gateway | None:
        """Note that a gateway lives. None: there are too many, this one is not let in."""
        gateway = self._all.get(id)
        if gateway is None:
            if len(self._all) >= MOST_GATEWAYS:
                return None
            gateway = self._all[id] = Gateway(id, now)
        gateway.heard = now
        gateway.gone = False
        gateway.probed = None
        return gateway

    def probe(self, id: str, now: float) -> int | None:
        """Begin to ask whether a gateway is there: the nonce to ask with, or None if need not."""
        gateway = self._all.get(id)
        if gateway is None or gateway.gone or gateway.probed is not None:
            return None
        gateway.probed = now
        gateway.nonce += 1
        return gateway.nonce

    def judge(self, now: float, *, hearing: bool, sure: bool, busy: Container[str]) -> Verdict:
        """Who is gone by now, and who may be forgotten.

        Args:
            hearing: own canaries come back; without that nobody is judged, and no silence counts.
            sure: they do so through every broker.
            busy: gateways that hold sessions.
        """
        # What passed while nothing could be heard, or while this process stood still, is no
        # gateway's silence.
        passed, self._judged = now - self._judged, now
        if not hearing or passed > 1.0:
            for gateway in self._all.values():
                gateway.heard = now
                gateway.probed = None if gateway.probed is None else now
            return Verdict([], [])
        verdict = Verdict([], [])
        within = PROBE_WITHIN if sure else PROBE_WITHIN_UNSURE
        for gateway in self._all.values():
            silent = now - gateway.heard
            if not gateway.gone and (
                silent > self._lease
                or (gateway.probed is not None and now - gateway.probed > within)
            ):
                gateway.gone = True
                gateway.probed = None
                verdict.gone.append(gateway.id)
            elif silent > FORGET_AFTER and gateway.id not in busy:
                verdict.forgotten.append(gateway.id)
        for id in verdict.forgotten:
            del self._all[id]
        return verdict
