"""The product, broken on purpose: what the proof has to notice, or it proves nothing.

Each breakage is a change of the product's text, made in a copy of the tree (see broken.py).
A test holds that every text to be replaced is there, as often as it says.
"""

from __future__ import annotations

from typing import NamedTuple


class Edit(NamedTuple):
    """`old` stands `times` times in `file`, and becomes `new` everywhere."""

    file: str
    old: str
    new: str
    times: int = 1


class Breakage(NamedTuple):
    """One mistake somebody could make.

    Args:
        promise: of "What always holds" in docs/design.md, by number.
        what: what the product does now, in one sentence.
        noticed_by: the commands one of which has to fail: arguments of `python -m`.
    """

    name: str
    promise: int
    what: str
    edits: tuple[Edit, ...]
    noticed_by: tuple[tuple[str, ...], ...]


_SIMULATION = ("tests.simulation", "--seeds", "2000")
_MACHINE = ("tests.faults.driver", "--minutes", "2", "--seed", "1")


def _pytest(node: str) -> tuple[str, ...]:
    return ("pytest", "-q", "-x", "-p", "no:cacheprovider", node)


BREAKAGES: tuple[Breakage, ...] = (
    Breakage(
        "acknowledge_before_commit",
        1,
        "answers and the stream go out while the transaction is still open; the next turn commits",
        (
            Edit(
                "worker/store.py",
                'raw.execute("BEGIN IMMEDIATE")',
                'raw.execute("COMMIT" if self._raw.in_transaction else "SELECT 1"),'
                ' self._raw.execute("BEGIN IMMEDIATE")',
                5,
            ),
            Edit(
                "worker/store.py",
                '            committing = True\n            self._raw.execute("COMMIT")\n',
                "            committing = True\n",
            ),
        ),
        (_SIMULATION, _MACHINE),
    ),
    Breakage(
        "publish_before_commit",
        1,
        "what a turn has decided is on the stream before it is stored",
        (
            Edit(
                "worker/shard.py",
                "                    return decide(\n"
                "                        state,\n"
                "                        inputs,\n"
                "                        known,\n"
                "                        self._settings,\n"
                "                        at=at,\n"
                "                        now=now,\n"
                "                        broken=broken,\n"
                "                        powers=powers,\n"
                "                    )\n",
                "                    plan = decide(\n"
                "                        state,\n"
                "                        inputs,\n"
                "                        known,\n"
                "                        self._settings,\n"
                "                        at=at,\n"
                "                        now=now,\n"
                "                        broken=broken,\n"
                "                        powers=powers,\n"
                "                    )\n"
                "                    tenure = self._tenure\n"
                "                    for payload in tenure._stream.add(plan.items, now):\n"
                "                        self._loop.call_soon_threadsafe(\n"
                "                            tenure._mail.tell_all, payload\n"
                "                        )\n"
                "                    return plan\n",
            ),
        ),
        (_SIMULATION, _MACHINE),
    ),
    Breakage(
        "skip_the_gap_check",
        2,
        "a gateway shows whatever position and whatever number comes next",
        (
            Edit(
                "gateway/stream.py",
                "        if self.in_step and position == self.position + 1:\n",
                "        if self.in_step:\n",
            ),
            Edit(
                "gateway/replica.py",
                "        return item.seq <= self.head + 1\n",
                "        return True\n",
            ),
        ),
        (_SIMULATION, _MACHINE),
    ),
    Breakage(
        "newest_instead_of_contiguous",
        2,
        "the client library takes the newest number it has seen for its cursor",
        (
            Edit(
                "hubbub/client_rooms.py",
                "        if room.live and not (frame.seq == room.cursor + 1"
                " and self._give(room, frame, size)):\n",
                "        if room.live and not self._give(room, frame, size):\n",
            ),
            Edit(
                "hubbub/client_rooms.py",
                "        if room.seen > room.cursor:\n            self._fall_behind(room)\n",
                "        room.cursor = room.seen\n",
            ),
        ),
        (_MACHINE,),
    ),
    Breakage(
        "forget_what_was_done",
        3,
        "the owner neither looks up nor keeps the ids of requests, so a repeated one is done again",
        (
            Edit(
                "worker/rules.py",
                "    done = _done_before(plan, task, digest) if digest else None\n",
                "    done = None\n",
            ),
            Edit("worker/writing.py", "    if plan.done:\n", "    if plan.done and False:\n"),
        ),
        (_SIMULATION, _MACHINE),
    ),
    Breakage(
        "decide_refusals_anew",
        2,
        "a new owner decides anew what its predecessor has refused, though more was said since",
        (
            Edit(
                "worker/rules.py",
                "    if digest and done is None and checked is None and plan.was_refused(task):\n",
                "    if False:\n",
            ),
        ),
        (_SIMULATION, _pytest("tests/faults/test_machine.py")),
    ),
    Breakage(
        "overtake_what_was_refused",
        2,
        "what was sent behind a line that could not be stored is done before it is asked again",
        (
            Edit(
                "worker/tenure.py",
                "                elif self._overtaking.overtakes(task, now):\n"
                "                    self.refuse(task, NOTHING_STORED)\n",
                "",
            ),
        ),
        (_SIMULATION,),
    ),
    Breakage(
        "forget_the_repeat",
        3,
        "a gateway asks once and never again",
        (
            Edit(
                "gateway/asks.py",
                "        numbers = [number for number, sent in self._sent.items()"
                " if sent.repeats.is_due(now)]\n"
                "        return [self._batch(number, repeat=True) for number in numbers]\n",
                "        return []\n",
            ),
        ),
        (_SIMULATION, _MACHINE),
    ),
    Breakage(
        "drop_the_barrier",
        2,
        "a gateway acts on answers at once, not when the stream is delivered up to their position",
        (
            Edit(
                "gateway/waiting.py",
                "            if bundle[1] <= position:\n",
                "            if True:\n",
            ),
        ),
        (_SIMULATION, _MACHINE),
    ),
    Breakage(
        "nobody_is_gone",
        4,
        "the owner never concludes that a gateway has died",
        (
            Edit(
                "worker/tenure.py",
                "        self.waiting.append(GatewayGone(gateway))\n        self._asked()\n",
                "        return\n",
            ),
        ),
        (_pytest("tests/cluster/test_kills.py"),),
    ),
    Breakage(
        "no_bound_on_the_outbox",
        5,
        "a gateway queues for a slow reader without end",
        (
            Edit(
                "gateway/outbox.py",
                "        return size <= self.left\n",
                "        return True\n",
            ),
            Edit("gateway/outbox.py", "            self.left = FULL\n", ""),
        ),
        (_pytest("tests/cluster/test_slow_reader.py"),),
    ),
    Breakage(
        "texts_are_shown_as_they_are",
        6,
        "what others write reaches the terminal with its escape sequences",
        (
            Edit(
                "hubbub/visible.py",
                "    if text.isascii() and text.isprintable():\n        return text\n",
                "    return text\n",
            ),
        ),
        (_pytest("tests/unit/hubbub/test_hostile.py"),),
    ),
    Breakage(
        "allow_by_default",
        7,
        "an action without a row in the table is allowed",
        (
            Edit(
                "worker/access.py",
                "    return not roles.isdisjoint(TABLE.get(action, frozenset()))\n",
                "    return not roles.isdisjoint(TABLE.get(action, frozenset(Role)))\n",
            ),
        ),
        (_pytest("tests/unit/worker/test_access.py"),),
    ),
    Breakage(
        "a_row_too_wide",
        7,
        "whoever may read a public room may read a private one",
        (
            Edit(
                "worker/access.py",
                "    Action.READ_PRIVATE: _INSIDE,\n",
                "    Action.READ_PRIVATE: _INSIDE | _OUTSIDE,\n",
            ),
        ),
        (_pytest("tests/unit/worker/test_authorisation_secrets.py"),),
    ),
    Breakage(
        "an_open_bus",
        8,
        "a bus that leaves the machine starts without keys",
        (
            Edit(
                "hubbub/endpoints.py",
                "    if not settings.bus_keys and not _is_loopback(host):\n",
                "    if False:\n",
            ),
        ),
        (_pytest("tests/unit/hubbub/test_settings.py"), _pytest("tests/unit/hubbub/test_bus.py")),
    ),
    Breakage(
        "look_all_the_time",
        9,
        "a gateway looks a thousand times a second whether something is to be repeated",
        (
            Edit(
                "gateway/hub.py",
                "call_later(BUSY_TICK if self._is_busy() else TICK, self._tick)",
                "call_later(0.001, self._tick)",
            ),
        ),
        (("bench.idle", "--seconds", "10"),),
    ),
)
