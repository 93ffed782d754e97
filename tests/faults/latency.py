"""How long things took, by phase, and what came too late after the last fault."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from tests.faults.asks import Ask, Index
from tests.faults.history import AnyRecord, Back, Cut, Entered, Over, Phase, Shown
from tests.faults.verdict import Findings, Percentiles, percentiles

SOON = 1.0  # seconds: within so long it is answered and shown where nothing is wrong


class Latency:
    """The durations of a history."""

    def __init__(self, index: Index, records: Sequence[AnyRecord]) -> None:
        self._asks = list(index.asks.values())
        phases = [(each.at, each.name) for each in index.of_kind(Phase)]
        self._phase_at = [at for at, _ in phases]
        self._phase_names = [name for _, name in phases]
        self._end = max((record.at for record in records), default=0.0)
        starts = dict(reversed([(name, at) for at, name in phases]))
        self._healing = starts.get("healing")
        self._showings = self._of_showings(index, records)

    def _of_showings(
        self, index: Index, records: Sequence[AnyRecord]
    ) -> list[tuple[Ask, str, float]]:
        """(request, who was shown it, how long after it was asked), of what was live meanwhile.

        Of clients that had their connection and were in the room before it was asked, and read all
        the time: bare connections may stop reading on purpose.
        """
        since: dict[tuple[str, str], float] = {}
        connected: dict[str, float] = {}
        found = []
        for record in records:
            match record:
                case Entered():
                    since[record.client, record.room] = record.at
                case Back():
                    connected[record.client] = record.at
                case Cut() | Over():
                    connected[record.client] = float("inf")
                case Shown() if not index.clients[record.client].exact:
                    ask = index.by_seq.get((record.room, record.seq))
                    if ask is None or ask.client == record.client:
                        continue
                    entered = since.get((record.client, record.room), float("inf"))
                    if max(entered, connected.get(record.client, 0.0)) < ask.begun:
                        found.append((ask, record.client, record.at - ask.begun))
        return found

    def _phase(self, at: float) -> str:
        number = bisect_right(self._phase_at, at)
        return self._phase_names[number - 1] if number else ""

    def percentiles(self) -> tuple[dict[str, Percentiles], dict[str, Percentiles]]:
        """By phase: of ask to answer, and of ask to being shown to others.

        Without those whose outcome was called unknown first: when they are asked again is up to the
        client, which may do so after half an hour.
        """
        answered: dict[str, list[float]] = {}
        shown: dict[str, list[float]] = {}
        for ask in self._asks:
            if ask.answers and ask.settled == ask.answers[0].at:
                took = ask.answers[0].at - ask.begun
                answered.setdefault(self._phase(ask.begun), []).append(took)
        for ask, _, took in self._showings:
            shown.setdefault(self._phase(ask.begun), []).append(took)
        phases = dict.fromkeys(self._phase_names)
        return (
            {phase: percentiles(answered[phase]) for phase in phases if phase in answered},
            {phase: percentiles(shown[phase]) for phase in phases if phase in shown},
        )

    def check(self, findings: Findings, heal_within: float) -> None:
        """Name what was late."""
        healing = self._healing
        if healing is None:
            return
        for ask in self._asks:
            deadline = max(ask.begun, healing) + heal_within
            settled = ask.settled
            what = f"{ask.op} {ask.text!r} of {ask.client}, asked at {ask.begun:.1f},"
            if settled is None and self._end > deadline:
                findings.add("late", ask.room, f"{what} was never answered")
            elif settled is not None and settled > deadline:
                took = settled - max(ask.begun, healing)
                findings.add("late", ask.room, f"{what} was answered {took:.1f} s after all faults")
        for ask, client, took in self._showings:
            if ask.begun >= healing and took > heal_within:
                text = f"{ask.op} {ask.text!r} was shown to {client} after {took:.1f} s"
                findings.add("late", ask.room, text)

    def healed_within(self) -> float | None:
        """Seconds from the last fault on, after which everything was answered and shown soon."""
        healing = self._healing
        if healing is None:
            return None
        healed = healing
        later = False
        for ask in self._asks:
            settled = ask.settled if ask.settled is not None else self._end
            later = later or ask.begun >= healing
            if settled > healing and (ask.begun < healing or settled - ask.begun > SOON):
                healed = max(healed, settled)
        for ask, _, took in self._showings:
            if ask.begun + took > healing and took > SOON:
                healed = max(healed, ask.begun + took)
        return healed - healing if later else None
