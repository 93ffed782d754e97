"""Keeps an eye on gateways and brokers: probes who vanished, says who is gone. Thin."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container, Iterable

from hubbub.bus import Bus
from hubbub.wire import Probe, gateway_topic
from worker.gateways import PROBE_WITHIN, PROBE_WITHIN_UNSURE, Gateways
from worker.mail import Mail


class Watch:
    """The eye of one term.

    Args:
        brokers: how many there are.
        own_topic: subscribed by this process everywhere: where it is missing a broker is gone.
        gone: called with the id of each gateway that is dead or hangs.
        deaf_limit: seconds without any broker after which gateways have given up what they asked.
    """

    def __init__(
        self,
        bus: Bus,
        gateways: Gateways,
        mail: Mail,
        log: logging.Logger,
        *,
        term: int,
        brokers: int,
        own_topic: bytes,
        deaf_limit: float,
        gone: Callable[[str], None],
    ) -> None:
        self._bus = bus
        self._gateways = gateways
        self._mail = mail
        self._log = log
        self._term = term
        self._brokers = brokers
        self._own_topic = own_topic
        self._deaf_limit = deaf_limit
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._deaf_since: float | None = None
        self._closed = False

    def close(self) -> None:
        """Judge nobody any more."""
        self._closed = True

    def vanished(self, topic: bytes) -> None:
        """A topic lost its subscriber at some broker: a gateway was killed, or a broker or link."""
        if not topic.startswith(b"g/"):
            return
        subscribers = self._bus.subscribers
        # Where our own topic is missing too it is the broker that went.
        if topic in subscribers or self._own_topic not in subscribers:
            return
        id = topic[2:-1].decode(errors="replace")
        gateway = self._gateways.get(id)
        if gateway is None or gateway_topic(id) != topic:
            return
        if gateway.draining and not gateway.gone:
            gateway.gone = True
            self._gone(id)
        else:
            self._probe(id)

    def look_for(self, gateways: Iterable[str]) -> None:
        """Ask those who are not to be seen: they may have died together with the last owner."""
        if self._closed:
            return
        subscribers = self._bus.subscribers
        if self._own_topic in subscribers:
            for id in gateways:
                if gateway_topic(id) not in subscribers:
                    self._probe(id)

    def _probe(self, id: str) -> None:
        nonce = self._gateways.probe(id, self._loop.time())
        if nonce is not None:
            self._mail.send(id, Probe(self._term, nonce), everywhere=True)
            for within in (PROBE_WITHIN, PROBE_WITHIN_UNSURE):
                self._loop.call_later(within + 0.01, self.judge, frozenset({id}))

    def judge(self, busy: Container[str]) -> None:
        """Report who is gone by now; `busy` gateways hold sessions and are not forgotten."""
        if self._closed:
            return
        good = self._bus.good
        sure = good == self._brokers
        verdict = self._gateways.judge(self._loop.time(), hearing=good > 0, sure=sure, busy=busy)
        for id in verdict.gone:
            self._log.warning("what=gateway_gone gateway=%s", id)
            self._gone(id)

    def was_deaf(self) -> bool:
        """True once after no broker answered for so long that gateways gave up asking.

        What they gave up may have been the news of lost connections.
        """
        now = self._loop.time()
        if self._bus.good == 0:
            self._deaf_since = now if self._deaf_since is None else self._deaf_since
            return False
        since, self._deaf_since = self._deaf_since, None
        return since is not None and now - since > self._deaf_limit
