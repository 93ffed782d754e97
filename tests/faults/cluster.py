"""A real cluster, every link of which goes through a proxy (links.py), and each process by its own.

Links are named by their ends: `clients gateway-1` for people, `bus gateway-1 broker-2 publish` and
`... subscribe` for what a process says to a broker and hears from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.control import VARIABLE, Control
from tests.faults.ports import Ports
from tests.faults.proxy import Link, Proxy
from tests.support import Cluster, Process
from worker.lease import LOCK_FILE

WAYS = ("publish", "subscribe")  # at the port of a broker's address, and at the one above


class FaultyCluster(Cluster):
    """A cluster whose links and processes can be hurt. People's addresses are those of its links.

    Args:
        seed: of which bus messages are lost.
        launcher: what follows `python` when a process is started, before its kind.
    """

    def __init__(
        self,
        *,
        gateways: int = 3,
        brokers: int = 2,
        workers: int = 2,
        seed: int = 0,
        launcher: Sequence[str] = ("-m", "tests.faults.inject"),
        **settings: Any,
    ) -> None:
        self.launcher = launcher
        self._seed = seed
        self._reserved = Ports()
        self._broker_ports = [self._reserved.take(2) for _ in range(brokers)]
        self._fronts: dict[str, int] = {}  # a gateway's name -> the port that people use
        self._names: list[str] = []  # of all links
        self._unopened: list[dict[str, Any]] = []
        super().__init__(gateways=gateways, brokers=brokers, workers=workers, **settings)
        self.control.mkdir()
        self.proxy = Proxy(self.root / "links.log")

    @property
    def control(self) -> Path:
        """Where the files lie that tell processes what to do to themselves."""
        return self.root / "control"

    def _process(
        self, kind: str, number: int, *, prefix: Sequence[str] = (), **settings: object
    ) -> Process:
        name = f"{kind}-{number}"
        if kind == "broker":
            ports = self._broker_ports
            wiring = {"bus_listen": ",".join(f"tcp://127.0.0.1:{port}" for port in ports)}
        else:
            wiring = {"bus": self._reaches_brokers(name)}
        if kind == "gateway":
            wiring["listen"] = f"127.0.0.1:{self._front(name)}"
        process = super()._process(kind, number, prefix=prefix, **(wiring | settings))
        process.environ[VARIABLE] = str(self.control)
        if kind == "gateway":
            self._ports[process] = int(wiring["listen"].rpartition(":")[2])
        return process

    def _reaches_brokers(self, name: str) -> str:
        """`HUBBUB_BUS` of a process: links of its own to each broker."""
        bus = []
        for number, port in enumerate(self._broker_ports, 1):
            own = self._reserved.take(2)
            for at, way in enumerate(WAYS):
                self._add(f"bus {name} broker-{number} {way}", own + at, port + at, bus=True)
            bus.append(f"tcp://127.0.0.1:{own}")
        return ",".join(bus)

    def _front(self, name: str) -> int:
        """The gateway's own port, with a link to it at another one."""
        own, front = self._reserved.take(1), self._reserved.take(1)
        self._add(f"clients {name}", front, own, bus=False)
        self._fronts[name] = front
        return own

    def _add(self, name: str, port: int, to: int, *, bus: bool) -> None:
        self._names.append(name)
        self._unopened.append(
            {"do": "open", "link": name, "port": port, "to": to, "bus": bus, "seed": self._seed}
        )

    async def start(self) -> None:
        """Start the proxy and everything; returns when every process is ready."""
        await self.proxy.start()
        await self._open_links()
        await super().start()

    async def start_gateway(self, gateway: Process) -> None:
        """Start it on the port it had, with new links if it is new."""
        await self._open_links()
        await super().start_gateway(gateway)

    async def _open_links(self) -> None:
        while self._unopened:
            await self.proxy.ask(**self._unopened.pop())

    @property
    def links(self) -> list[str]:
        """The names of all links, the two ways of one to a broker as one."""
        names = [name.removesuffix(" publish") for name in self._names]
        return [name for name in names if not name.endswith(WAYS)]

    def link(self, *names: str) -> Link:
        """The link of that name, or all whose names begin so.

            link("clients", "gateway-1")
            link("gateway-1", "broker-2")               both ways; "bus" may be left out
            link("gateway-1", "broker-2", "subscribe")  one of them
            link("worker-1")                            all of its links to brokers

        Raises:
            KeyError: there is none.
        """
        words = " ".join(names).split()
        if words[0] not in ("bus", "clients"):
            words.insert(0, "bus")
        parts = [name for name in self._names if name.split()[: len(words)] == words]
        if not parts:
            raise KeyError(" ".join(words))
        return Link(self.proxy, parts)

    def port(self, gateway: Process | int) -> int:
        """The port where people reach a gateway: its link's, not its own."""
        process = self.gateways[gateway] if isinstance(gateway, int) else gateway
        return self._fronts[process.name]

    @property
    def active_worker(self) -> Process:
        """The worker that holds the lease, as its lock file says; none: any that lives.

        Not by its log, whose times jump with the clock.
        """
        words = (self.data / LOCK_FILE).read_text().split()
        for worker in self.workers:
            if worker.alive and words and worker.pid == int(words[0]):
                return worker
        return next((worker for worker in self.workers if worker.alive), self.workers[0])

    def control_of(self, process: Process) -> Control:
        """The file that tells a process what to do to itself."""
        return Control(self.control, process.name)

    def outputs(self) -> list[tuple[str, str]]:
        """(name, all it ever wrote) of every process, the proxy too."""
        return [*super().outputs(), ("links", self.proxy.troubles())]

    def troubles(self) -> list[str]:
        """What no process may write, whatever a test did to it."""
        own = [f"links: {line}" for line in self.proxy.troubles().splitlines()]
        return [*super().troubles(), *own]

    async def close(self) -> None:
        """End everything, whatever state it is in."""
        await super().close()
        await self.proxy.end()
        self._reserved.close()
