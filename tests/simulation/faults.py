"""What goes wrong in a run: drawn beforehand, noted, and undone when it is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.faults.history import AnyRecord, Fault
from tests.simulation.cluster import Cluster, Gateway, Process, Worker
from tests.simulation.device import Device
from tests.simulation.network import BROKERS
from tests.simulation.shape import Shape

HOUR = 3600.0


class Faults:
    """All of them. Each is at a moment of its own; several may overlap."""

    def __init__(
        self,
        cluster: Cluster,
        shape: Shape,
        devices: Sequence[Device],
        note: Callable[[AnyRecord], None],
    ) -> None:
        self._cluster = cluster
        self._world = world = cluster.world
        self._devices = devices
        self._note = note
        self._is_over = False
        self._zombies: list[Worker] = []  # or to be so soon
        cluster.network.loss = shape.loss
        cluster.network.doubling = shape.doubling
        cluster.network.jitter = shape.jitter
        cluster.network.grain = shape.grain
        kinds = self._kinds()
        for _ in range(shape.faults):
            what = world.random.choice(kinds)
            world.at(0.1 + world.random.random() * (shape.seconds + 0.3), self._begin, what)

    def _kinds(self) -> list[Callable[[], None]]:
        return [
            self.kill_worker,
            self.crash,
            self.crash,
            self.crash,
            self.freeze_worker,
            self.restart_worker,
            self.all_workers_down,
            self.database,
            self.database,
            self.slow_disk,
            self.kill_gateway,
            self.kill_gateway,
            self.freeze_gateway,
            self.freeze_gateway,
            self.restart_gateway,
            self.broker,
            self.broker,
            self.link,
            self.link,
            self.loss,
            self.loss,
            self.clock,
            self.slow_reader,
            self.slow_reader,
        ]

    def _begin(self, what: Callable[[], None]) -> None:
        if not self._is_over:
            what()

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self._world.after(seconds, self._begin, what)

    def _noted(self, what: str, target: str, seconds: float = 0.0) -> None:
        now = self._world.now
        self._world.tell(f"FAULT {what} {target} for {seconds:.2f} s")
        self._world.counts["fault: " + what] += 1
        self._note(Fault(now, what, target, now + seconds if seconds else 0.0))

    def end(self) -> None:
        """Undo all of it; nothing goes wrong any more."""
        self._is_over = True
        cluster = self._cluster
        cluster.network.mend()
        cluster.network.jitter = min(cluster.network.jitter, 0.02)
        cluster.disk.heal()
        if cluster.keep_down > self._world.now:
            cluster.keep_down = 0.0
            cluster.take_over()
        for worker in self._zombies:
            if worker is not cluster.worker:
                worker.kill()
        for gateway in cluster.gateways:
            gateway.thaw()
        if cluster.worker is not None:
            cluster.worker.thaw()
            cluster.worker.bus.before_sending = None
            cluster.worker.loop.slowness = 0.003
        for device in self._devices:
            device.go_on_reading()

    # --- workers --------------------------------------------------------------------------

    @property
    def _worker(self) -> Worker | None:
        return self._cluster.worker

    def kill_worker(self) -> None:
        """At whatever it is doing."""
        if (worker := self._worker) is not None:
            self._noted("worker killed", worker.name)
            worker.kill()

    def crash(self) -> None:
        """In the midst of its next turn."""
        worker, disk = self._worker, self._cluster.disk
        if worker is None:
            return
        point = self._world.random.choice(
            ("before commit", "after commit", "at publishing", "at answering")
        )
        self._noted("worker crashes " + point, worker.name)
        if point == "before commit":
            disk.before_commit = self._once(worker)
        elif point == "after commit":
            disk.after_commit = self._once(worker)
        else:
            topic = b"all/" if point == "at publishing" else b"g/"
            worker.bus.before_sending = worker.killer(topic)

    def _once(self, worker: Worker) -> Callable[[], None]:
        kill, disk = worker.killer(), self._cluster.disk

        def hook() -> None:
            disk.before_commit = disk.after_commit = None
            if self._cluster.worker is worker:
                kill()

        return hook

    def freeze_worker(self) -> None:
        """Longer than a standby waits, at times; and then it may live on beside its successor.

        The lock does not allow that; if it ever failed, the term alone would have to keep what is
        stored and shown exact, for as long as both are there.
        """
        worker, chance = self._worker, self._world.random
        if worker is None:
            return
        seconds = chance.choice((0.3, 0.9, 1.6, 2.5))
        self._noted("worker frozen", worker.name, seconds)
        worker.freeze()
        hung_after = self._cluster.settings.hung_after
        if seconds > hung_after:
            if chance.random() < 0.5:
                self._zombies.append(worker)
                self._later(hung_after, lambda: self._cluster.depose(worker))
                self._later(seconds + chance.random(), worker.kill)
            else:
                self._later(hung_after, worker.kill)
        self._world.after(seconds, worker.thaw)

    def restart_worker(self) -> None:
        """SIGTERM."""
        if (worker := self._worker) is not None:
            self._noted("worker restarted", worker.name)
            worker.restart()

    def all_workers_down(self) -> None:
        """Nobody takes over for a while."""
        if (worker := self._worker) is not None:
            seconds = self._world.random.uniform(0.5, 2.5)
            self._noted("all workers down", worker.name, seconds)
            self._cluster.keep_down = self._world.now + seconds
            worker.kill()

    def database(self) -> None:
        """Some of the next transactions fail."""
        chance = self._world.random
        how = chance.choice(("begin", "commit", "doubt"))
        times = chance.choice((1, 1, 2, 4))
        self._noted(f"database fails at {how}", f"{times} times")
        self._cluster.disk.failing[how] = times

    def slow_disk(self) -> None:
        """Every turn takes long."""
        if (worker := self._worker) is not None:
            seconds = self._world.random.uniform(0.5, 2.0)
            self._noted("slow database", worker.name, seconds)
            worker.loop.slowness = self._world.random.choice((0.05, 0.3))
            self._world.after(seconds, self._fast, worker)

    def _fast(self, worker: Worker) -> None:
        worker.loop.slowness = 0.003

    # --- gateways -------------------------------------------------------------------------

    def _gateway(self) -> Gateway | None:
        gateway = self._world.random.choice(self._cluster.gateways)
        return None if gateway.is_over else gateway

    def kill_gateway(self) -> None:
        """At whatever it is doing."""
        if (gateway := self._gateway()) is not None:
            self._noted("gateway killed", gateway.name)
            gateway.kill()
            self._cluster.gateway_ended(gateway)

    def freeze_gateway(self) -> None:
        """Its clients dial elsewhere after a while; it may be declared gone meanwhile."""
        if (gateway := self._gateway()) is not None:
            seconds = self._world.random.choice((0.2, 1.2, 2.5, 4.0))
            self._noted("gateway frozen", gateway.name, seconds)
            gateway.freeze()
            self._world.after(seconds, gateway.thaw)

    def restart_gateway(self) -> None:
        """SIGTERM."""
        if (gateway := self._gateway()) is not None and not gateway.loop.is_frozen:
            self._noted("gateway restarted", gateway.name)
            gateway.restart()

    # --- the bus --------------------------------------------------------------------------

    def broker(self) -> None:
        """One broker, or all of them."""
        chance, network = self._world.random, self._cluster.network
        seconds = chance.uniform(0.1, 2.5)
        which = list(range(BROKERS)) if chance.random() < 0.25 else [chance.randrange(BROKERS)]
        self._noted("broker away", " and ".join(map(str, which)), seconds)
        for broker in which:
            network.set_away(broker, away=True)
            self._world.after(seconds, network.set_away, broker, False)

    def link(self) -> None:
        """One process and one broker, in one direction or in both."""
        chance = self._world.random
        worker = [self._worker] if self._worker is not None else []
        process: Process = chance.choice([*worker, *self._cluster.gateways])
        broker = chance.randrange(BROKERS)
        out, back = chance.choice(((False, False), (True, False), (False, True)))
        seconds = chance.uniform(0.1, 2.5)
        self._noted("link cut", f"{process.name} {broker} {out=} {back=}", seconds)
        self._cluster.network.set_link(process.bus, broker, out=out, back=back)
        self._world.after(seconds, self._mend_link, process, broker)

    def _mend_link(self, process: Process, broker: int) -> None:
        if not process.is_over:
            self._cluster.network.set_link(process.bus, broker, out=True, back=True)

    def loss(self) -> None:
        """Many frames are lost, or doubled, for a while."""
        chance, network = self._world.random, self._cluster.network
        seconds = chance.uniform(0.1, 1.0)
        before = network.loss, network.doubling
        network.loss, network.doubling = chance.choice(((0.5, 0.0), (0.2, 0.2), (0.0, 0.7)))
        self._noted("frames lost", f"{network.loss} {network.doubling}", seconds)
        self._world.after(seconds, self._no_loss, before)

    def _no_loss(self, before: tuple[float, float]) -> None:
        if not self._is_over:
            self._cluster.network.loss, self._cluster.network.doubling = before

    # --- else -----------------------------------------------------------------------------

    def clock(self) -> None:
        """One process's wall clock jumps; the worker's as often as not."""
        chance, worker = self._world.random, self._worker
        process: Process = chance.choice(self._cluster.gateways)
        if worker is not None and chance.random() < 0.5:
            process = worker
        process.loop.clock_ahead += chance.choice((HOUR, -HOUR))
        self._noted("clock jumps", process.name)

    def slow_reader(self) -> None:
        """A client takes nothing for a while."""
        device = self._world.random.choice(self._devices)
        seconds = self._world.random.uniform(0.3, 2.5)
        self._noted("slow reader", device.name, seconds)
        device.stop_reading()
        self._world.after(seconds, device.go_on_reading)
