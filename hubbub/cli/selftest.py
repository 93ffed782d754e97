"""`hubbub selftest`: a few sessions talk in a room of their own, and everything is compared."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from functools import partial

import hubbub
from hubbub.cli import common, identity
from hubbub.cli.render import is_direct, json_line, visible
from hubbub.cli.tally import Ledger, Line, Tally
from hubbub.client import Client
from hubbub.client_events import EpochReset, Lacking, Reconnected, RoomLost
from hubbub.errors import Code, Refused
from hubbub.frames import Event, Message, Ok, Parted

AGENT = "hubbub selftest"
ROOM = "selftest"
MOST_CONNECTIONS, MOST_LINES, MOST_IN_ALL = 32, 1000, 2000
MOST_RATE = 200.0  # lines a second, of all sessions together
LONGEST = 600.0  # seconds
PAGE = 500

MANUAL = f"""\
Some guests that nobody sees meet in a room of their own and say numbered lines to each other. All
must be acknowledged, and shown to every one of them once, in one order, as they stand in the
history. It is safe on a cluster that people use. One line tells what was found:

  ok: 20 of 20 lines acknowledged, 80 of 80 deliveries, 0 lost, ...
  FAILED: line 2 of 3 not shown at session 1 (gateway-2): 20 of 20 lines acknowledged, ...

Give the addresses of all machines; where several gateways share one port, chance decides which are
met: more --connections meet more of them. There may be up to {MOST_CONNECTIONS}
of them, and {MOST_IN_ALL} lines in all. The lines stay in the history of the room; to delete them
would only store more.

It exits with 0 when all was exact, with 1 when not, or not within the time that was given.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.epilog = MANUAL
    common.add_connection(parser)
    parser.add_argument(
        "--room", default=ROOM, help=f"where to meet; anybody may read it (default: {ROOM})"
    )
    parser.add_argument(
        "--connections",
        type=_within(int, 2, MOST_CONNECTIONS),
        default=4,
        metavar="N",
        help="how many sessions take part (default: 4)",
    )
    parser.add_argument(
        "--lines",
        type=_within(int, 1, MOST_LINES),
        default=5,
        metavar="N",
        help="how many lines each of them says (default: 5)",
    )
    parser.add_argument(
        "--rate",
        type=_within(float, 0.1, MOST_RATE),
        default=20.0,
        metavar="N",
        help="lines a second, of all together (default: 20)",
    )
    parser.add_argument(
        "--within",
        type=_within(float, 0.1, LONGEST),
        default=10.0,
        metavar="SECONDS",
        help="how long all of it may take once all are connected (default: 10)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _within(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low} to {high}")
        return value

    return number


def run(args: argparse.Namespace) -> int:
    """Talk, compare, print."""
    wrong = _wrong(args)
    if wrong is not None:
        common.complain(wrong)
        return common.USAGE
    servers = identity.servers(args)
    return common.run(lambda: _main(args, servers))


def _wrong(args: argparse.Namespace) -> str | None:
    """What is asked for that cannot be, in words."""
    count = args.connections * args.lines
    if is_direct(args.room):
        return f"{args.room} is not a room"
    if count > MOST_IN_ALL:
        return f"that would be {count:,} lines; at most {MOST_IN_ALL:,} are said"
    if count / args.rate >= args.within:
        needs = count / args.rate
        return f"saying {count} lines at {args.rate:g} a second takes {needs:g} s: raise --within"
    return None


async def _main(args: argparse.Namespace, servers: list[str]) -> int:
    tally = Tally(os.urandom(4).hex(), args.connections, args.lines)
    room = common.room_of(args.room)
    loop = asyncio.get_running_loop()
    connect = partial(_client, servers, args.connect_within)
    async with _attending(connect, args.connections) as clients:
        began = loop.time()
        test = Selftest(tally, room, clients)
        try:
            async with asyncio.timeout(args.within):
                await test.talk(args.rate)
                await test.read_back(connect(0))
        except TimeoutError:
            tally.faults.append(f"not done within {args.within:g} s")
        report = tally.report(room, loop.time() - began)
    print(json_line(report) if args.json else visible(report.line()), flush=True)
    return common.OK if report.ok else common.FAILED


# --- the sessions -----------------------------------------------------------------------------


def _client(servers: list[str], connect_within: float, number: int) -> Client:
    """A guest that nobody sees. Each begins with another of the addresses."""
    first = number % len(servers)
    return hubbub.connect(
        *servers[first:],
        *servers[:first],
        visible=False,
        agent=AGENT,
        connect_within=connect_within,
    )


@contextlib.asynccontextmanager
async def _attending(connect: Callable[[int], Client], count: int) -> AsyncIterator[list[Client]]:
    """So many sessions. They say goodbye side by side, also when this is cancelled.

    Raises:
        Unreachable, Refused: one could not connect; in an ExceptionGroup.
    """
    over = asyncio.Event()
    connected: list[asyncio.Future[Client]] = [
        asyncio.get_running_loop().create_future() for _ in range(count)
    ]

    async def attend(number: int) -> None:
        async with connect(number) as client:
            connected[number].set_result(client)
            await over.wait()

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(attend(number), name=f"selftest session {number + 1}")
        yield list(await asyncio.gather(*connected))
        over.set()


class Selftest:
    """Lets the sessions talk, and writes down what each of them is shown."""

    def __init__(self, tally: Tally, room: str, clients: list[Client]) -> None:
        self._tally = tally
        self._room = room
        self._sessions = list(zip(tally.ledgers, clients, strict=True))
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()  # something was answered, shown, or came back
        self._acknowledged = [asyncio.Event() for _ in clients]  # and wants a barrier there
        self._refused: Refused | None = None

    async def talk(self, rate: float) -> None:
        """Enter, say everything, `rate` lines a second, and wait until all of it has arrived.

        Raises:
            Refused: one may not enter, or not speak; maybe in an ExceptionGroup.
        """
        tally = self._tally
        await asyncio.gather(*(client.join(self._room) for _, client in self._sessions))
        tally.all_gateways = len((await self._sessions[0][1].status()).gateways)
        async with asyncio.TaskGroup() as group:
            listening = [
                group.create_task(each, name="selftest listening")
                for ledger, client in self._sessions
                for each in (self._hear(ledger, client), self._check(ledger, client))
            ]
            await self._say_all(rate)
            while self._refused is None and not tally.is_settled:
                self._changed.clear()
                await self._changed.wait()
            if self._refused is not None:
                raise self._refused
            for task in listening:
                task.cancel()

    async def _say_all(self, rate: float) -> None:
        began = self._loop.time()
        for at, line in enumerate(self._tally.texts):
            await asyncio.sleep(began + at / rate - self._loop.time())
            if self._refused is not None:
                return
            _, client = self._sessions[line.session - 1]
            self._tally.senders.add(client.sender)
            text = self._tally.ask(line, self._loop.time())
            client.say_nowait(self._room, text).add_done_callback(partial(self._answer, line))

    def _answer(self, line: Line, answer: asyncio.Future[Ok]) -> None:
        now = self._loop.time()
        if answer.cancelled():
            return
        error = answer.exception()
        if error is None:
            self._tally.acknowledge(line, answer.result().seq, now)
            for event in self._acknowledged:
                event.set()
        else:
            self._tally.unanswered[line] = str(error)
            if isinstance(error, Refused) and not error.code.retryable:
                self._refused = error
        self._changed.set()

    async def _hear(self, ledger: Ledger, client: Client) -> None:
        """Write down what a session is shown."""
        tally = self._tally
        ledger.gateways.add(client.gateway)
        async for event in client:
            if isinstance(event, Message):
                tally.senders |= {each.sender for _, each in self._sessions}
                tally.show(ledger, event, self._loop.time())
                self._changed.set()
            elif isinstance(event, Reconnected):
                ledger.reconnected += 1
                ledger.gateways.add(client.gateway)
            elif isinstance(event, Parted | RoomLost):
                raise Refused(Code.NOT_MEMBER, f"put out of {self._room}")
            elif isinstance(event, EpochReset):
                tally.faults.append("the history was put back meanwhile")
            elif isinstance(event, Lacking):
                tally.faults.append("a part of the history is not kept")

    async def _check(self, ledger: Ledger, client: Client) -> None:
        """Send a ping after each acknowledgement, by whomever, and compare when it is back."""
        acknowledged = self._acknowledged[ledger.session - 1]
        while True:
            await acknowledged.wait()
            acknowledged.clear()
            behind = self._tally.answers[ledger.checked :]
            await client.ping()
            state = client.state(self._room)
            ledger.barrier(behind, 0 if state is None else state.head)
            self._changed.set()

    async def read_back(self, stranger: Client) -> None:
        """Compare with what somebody else finds in the history afterwards."""
        seqs = self._tally.acknowledged.values()
        if not seqs:
            return
        entries: list[Message | Event] = []
        after, head = min(seqs) - 1, max(seqs)
        async with stranger:
            while after < head:
                page = await stranger.history(self._room, after=after, limit=PAGE)
                head = max(head, page.head if not entries else 0)
                if not page.events:
                    break
                entries += page.events
                after = entries[-1].seq
        self._tally.compare_history(entries)
