"""The `hubbub` command as a person or a script runs it, with a real cluster."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.cli.send import line_ids
from hubbub.frames import Message
from tests.support import Cluster, clean_environment, eventually, free_ports, slack

CHAT = ("chat", "--name", "Radha")


class Run:
    """A running command, its output read line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        assert process.stdout is not None
        self._reading = asyncio.ensure_future(self._read(process.stdout))

    async def _read(self, out: asyncio.StreamReader) -> None:
        while line := await out.readline():
            self.lines.append(line.decode().removesuffix("\n"))

    def type(self, *lines: str) -> None:
        """Write lines to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())

    async def shows(self, line: str, within: float = 10) -> None:
        """Wait until it printed this line."""
        await eventually(lambda: line in self.lines, within, what=f"{line!r} in {self.lines}")

    async def end(self) -> tuple[int, str]:
        """Close its input and wait: (exit code, standard error)."""
        assert self.process.stdin is not None
        assert self.process.stderr is not None
        self.process.stdin.close()
        async with asyncio.timeout(slack(20)):
            errors = (await self.process.stderr.read()).decode()
            await self._reading
            return await self.process.wait(), errors


async def start(
    cluster: Cluster, *arguments: str, gateway: int = 0, state: Path | None = None
) -> Run:
    argv, env = cluster.command(*arguments, gateway=gateway)
    env["XDG_DATA_HOME"] = str(cluster.root / "home")
    if state is not None:
        env["XDG_STATE_HOME"] = str(state)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=pipe, stdout=pipe, stderr=pipe, env=env
    )
    _started.append(process)
    return Run(process)


_started: list[asyncio.subprocess.Process] = []


@pytest.fixture(autouse=True)
async def nothing_left_running() -> AsyncIterator[None]:
    """A failed test leaves nobody behind under a name that the next one needs."""
    yield
    while _started:
        process = _started.pop()
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def run(
    cluster: Cluster,
    *arguments: str,
    stdin: str = "",
    gateway: int = 0,
    state: Path | None = None,
) -> tuple[int, list[str], str]:
    """(exit code, lines of standard output, standard error) of a whole run."""
    running = await start(cluster, *arguments, gateway=gateway, state=state)
    if stdin:
        running.type(*stdin.splitlines())
    code, errors = await running.end()
    return code, running.lines, errors


def objects(lines: Sequence[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


# --- chat ---------------------------------------------------------------------------------------


async def test_three_people_hold_a_conversation(shared: Cluster, room: str) -> None:
    """“Each sees the others' lines, in one order, with entered/left notices.”"""
    radha = await start(shared, *CHAT, "--room", room, gateway=0)
    await _is_there(shared, "Radha", room)
    varsha = await start(shared, "chat", "--room", room, "--name", "Varsha", gateway=1)
    await radha.shows("* Varsha entered")
    rita = await start(shared, "chat", "--room", room, "--name", "Rita", gateway=2)
    await radha.shows("* Rita entered")
    await varsha.shows("* Rita entered")
    radha.type("hi friends! When are you coming?")
    lines = ["Radha: hi friends! When are you coming?", "Varsha: At 5pm", "* Rita waves"]
    await varsha.shows(lines[0])
    varsha.type("At 5pm")
    await rita.shows(lines[1])
    rita.type("/me waves")
    await rita.shows(lines[2])
    assert (await rita.end())[0] == 0
    await varsha.shows("* Rita left")
    assert (await varsha.end())[0] == 0
    await radha.shows("* Varsha left")
    assert (await radha.end())[0] == 0
    assert radha.lines == [
        "* Varsha entered",
        "* Rita entered",
        *lines,
        "* Rita left",
        "* Varsha left",
    ]
    assert varsha.lines == ["* Rita entered", *lines, "* Rita left"]
    assert rita.lines == lines


async def _is_there(cluster: Cluster, name: str, room: str = "lobby") -> None:
    async with hubbub.connect(cluster.server(), visible=False) as client:

        async def look() -> bool:
            try:
                members = (await client.members(room)).members
            except hubbub.Refused:  # there is no such room yet
                return False
            return any(person.name == name for person in members)

        await eventually(look, 10)


async def test_piped_lines_are_sent_in_order_and_shown_in_their_place(
    shared: Cluster, room: str
) -> None:
    wanted = [f"line {number}" for number in range(500)]
    code, lines, errors = await run(shared, *CHAT, "--room", room, stdin="\n".join(wanted))
    assert (code, errors) == (0, "")
    assert lines == [f"Radha: {line}" for line in wanted]


async def test_a_file_may_be_the_input(shared: Cluster, room: str, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\n\n   \r\ntwo\r\n\xff\xfe\nlast without end")
    code, lines, errors = await run(shared, *CHAT, "--room", room, "--input", str(path))
    assert (code, errors) == (0, "")
    assert lines == ["Radha: one", "Radha: two", "Radha: \ufffd\ufffd", "Radha: last without end"]
    assert (await run(shared, "chat", "--room", room, "--input", str(tmp_path / "none")))[0] == 66


async def test_every_command_does_what_help_says(shared: Cluster, room: str) -> None:
    """`/join /leave /me /nick /who /rooms /history /quit /help`, `//`; others: test_cli_chat."""
    chat = await start(shared, *CHAT, "--room", room)
    expected = [
        ("//slash", "Radha: /slash"),
        ("/me waves", "* Radha waves"),
        ("/nick Radha2", "* Radha is now Radha2"),
        ("/who", f"* In {room}: Radha2"),
        (f"/join #Den{room}", None),
        ("in the den", f"[Den{room}] Radha2: in the den"),
        ("/rooms", f"* {room}: 1 here, 3 entries"),
        (f"/join {room}", None),
        ("in two rooms", f"[{room}] Radha2: in two rooms"),
        (f"/leave den{room}", None),
        ("back in one", "Radha2: back in one"),
        ("/help", f"{'/nick NAME':28}  take another name"),
    ]
    for typed, shown in expected:
        chat.type(typed)
        if shown is not None:
            await chat.shows(shown)
    chat.type("/history 3", "/quit", "never read")
    code, errors = await chat.end()
    assert (code, errors) == (0, "")
    past = ["* Radha is now Radha2", "Radha2: in two rooms", "Radha2: back in one"]
    assert chat.lines[-3:] == past


async def test_what_is_wrong_is_told_and_not_sent(shared: Cluster, room: str) -> None:
    """“An unknown command is an error and never sent as text.”"""
    script = ["/jion den", "x" * 4001, "fine", "/join a b", "/leave nowhere"]
    code, lines, errors = await run(shared, *CHAT, "--room", room, stdin="\n".join(script))
    assert code == 2
    assert lines == ["Radha: fine"]
    assert [line.split(": ")[1] for line in errors.splitlines()] == [
        "line 1",
        "line 2",
        "line 4",
        "line 5",
    ]
    assert "4,000" in errors


async def test_hostile_texts_are_shown_harmlessly(shared: Cluster, room: str) -> None:
    async with hubbub.connect(shared.server(1), name="Eve") as eve:
        await eve.join(room)
        chat = await start(shared, *CHAT, "--room", room)
        await _is_there(shared, "Radha", room)
        await eve.say(room, "\x1b[2J\x9b31m\u202egnp\nRadha: forged\x07")
        await chat.shows("Eve: \\x1b[2J\\x9b31m\\u202egnp\\nRadha: forged\\x07")
        assert (await chat.end())[0] == 0


async def test_json_lines_are_frames(shared: Cluster, room: str) -> None:
    code, lines, _ = await run(shared, *CHAT, "--room", room, "--json", stdin="hällo\n/who")
    assert code == 0
    frames = {frame["t"]: frame for frame in objects(lines)}
    assert set(frames) == {"message", "roster"}
    assert frames["message"]["text"] == "hällo"
    assert frames["message"]["seq"] == 1


async def test_a_taken_name_is_told_in_one_line(shared: Cluster, room: str) -> None:
    async with hubbub.connect(shared.server(1), name="Radha"):
        code, lines, errors = await run(
            shared, "chat", "--room", room, "--name", "radha", stdin="hi"
        )
    assert (code, lines) == (77, [])
    assert len(errors.splitlines()) == 1
    assert "taken" in errors


async def test_a_chat_survives_the_death_of_its_gateway(cluster: Cluster) -> None:
    both = f"{cluster.server(0)},{cluster.server(1)}"
    chat = await start(cluster, "chat", "--name", "Radha", "--server", both)
    await _is_there(cluster, "Radha")
    chat.type("before")
    await chat.shows("Radha: before")
    cluster.gateways[0].kill()
    chat.type("after")
    await chat.shows("Radha: after")
    code, errors = await chat.end()
    assert code == 0
    assert "connection lost" in errors
    assert chat.lines == ["Radha: before", "Radha: after"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_says_goodbye(shared: Cluster, room: str, number: signal.Signals) -> None:
    chat = await start(shared, *CHAT, "--room", room)
    await _is_there(shared, "Radha", room)
    chat.process.send_signal(number)
    code, errors = await chat.end()
    assert (code, errors) == (128 + number, "")
    async with hubbub.connect(shared.server(1), name="Radha"):
        pass


# --- send ---------------------------------------------------------------------------------------


async def stored(cluster: Cluster, room: str = "lobby") -> list[str]:
    """All texts of a room."""
    async with hubbub.connect(cluster.server(), visible=False) as client:
        await client.join(room)
        page = await client.history(room, after=0, limit=500)
        return [event.text for event in page.events if isinstance(event, Message)]


async def test_send_exits_once_it_is_stored(shared: Cluster, room: str) -> None:
    assert await run(shared, "send", room, "the", "build", "is green") == (0, [], "")
    assert (await run(shared, "send", f"#{room}", stdin="one\n\ntwo"))[0] == 0
    assert await stored(shared, room) == ["the build is green", "one", "two"]


def test_a_closed_standard_input_is_told(shared: Cluster) -> None:
    for command in ("chat", "send"):
        argv, env = shared.command(command, *(["lobby"] if command == "send" else []))
        found = subprocess.run(
            ["sh", "-c", 'exec "$@" <&-', "sh", *argv], capture_output=True, env=env, check=False
        )
        assert found.returncode == 66
        assert found.stderr == b"hubbub: standard input is closed\n"


async def test_nobody_sees_send_and_tail(shared: Cluster, room: str) -> None:
    """“`send` and `tail` attach without presence.”"""
    async with hubbub.connect(shared.server(), name="Radha") as radha:
        await radha.join(room)
        assert (await run(shared, "send", room, "hi"))[0] == 0
        assert (await run(shared, "tail", room, "--no-follow"))[0] == 0
        await radha.ping()
        event = radha.event_nowait()
        assert isinstance(event, Message)
        assert event.text == "hi"
        assert radha.event_nowait() is None


async def test_send_tells_by_its_exit_code_what_is_wrong(shared: Cluster, room: str) -> None:
    nobody = f"127.0.0.1:{free_ports()[0]}"
    assert (await run(shared, "send"))[0] == 2
    assert (await run(shared, "send", "a b", "hi"))[0] == 2
    assert (await run(shared, "send", room, " "))[0] == 2
    assert (await run(shared, "send", room, "hi", "--server", "nowhere"))[0] == 2
    assert (await run(shared, "send", room, "x" * 4001))[0] == 65
    assert (await run(shared, "send", room, "hi", "--server", nobody, "--connect-within", "0.5"))[
        0
    ] == 69
    async with hubbub.connect(shared.server(), name="Radha"):
        assert (await run(shared, "send", room, "hi", "--name", "Radha"))[0] == 77
    assert await stored(shared, room) == []


async def test_a_line_that_cannot_be_sent_ends_send_after_those_before_it(
    shared: Cluster, room: str
) -> None:
    """“65 a text that cannot be sent”: one line tells it, and what went before is stored."""
    lines = "\n".join(["one", "two", "x" * 4001, "three"])
    code, printed, errors = await run(shared, "send", room, "--json", stdin=lines)
    assert code == 65
    assert errors == "hubbub: a text has 1 to 4,000 characters, this one has 4,001\n"
    assert [answer["seq"] for answer in objects(printed)] == [1, 2]
    assert await stored(shared, room) == ["one", "two"]


async def test_the_same_id_by_another_process_is_stored_once(
    shared: Cluster, room: str, tmp_path: Path
) -> None:
    """“`--id` makes a script's retry safe.”"""
    for _ in range(3):
        told = ("send", room, "deployed", "--id", "build 7")
        assert (await run(shared, *told, state=tmp_path))[0] == 0
    told = ("send", room, "something else", "--id", "build 7")
    assert (await run(shared, *told, state=tmp_path))[0] == 65
    assert await stored(shared, room) == ["deployed"]
    notes = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert notes
    assert all(path.stat().st_mode & 0o077 == 0 for path in notes)


LINES = ["one", "two", "two", "three"]


def forget_acknowledgements(state: Path, **known: object) -> None:
    """Make the note of a finished `send --id` one of a run that was killed before its answers."""
    note = next(path for path in state.rglob("send/*") if not path.suffix)
    note.write_text(json.dumps(json.loads(note.read_text()) | {"stored": {}} | known))


async def test_a_killed_send_is_repeated_without_doubling(
    shared: Cluster, room: str, tmp_path: Path
) -> None:
    """Its lines were stored, it noted no answer, and its session is over."""
    told = ("send", room, "--id", "build 8")
    assert (await run(shared, *told, stdin="\n".join(LINES), state=tmp_path))[0] == 0
    forget_acknowledgements(tmp_path)
    assert (await run(shared, *told, stdin="\n".join(LINES), state=tmp_path))[0] == 0
    assert await stored(shared, room) == LINES


async def test_a_killed_send_goes_on_as_the_same_sender(
    shared: Cluster, room: str, tmp_path: Path
) -> None:
    """Three of its four lines were stored, it noted no answer, and its session still lives."""
    told = ("send", room, "--id", "build 9")
    assert (await run(shared, *told, stdin="\n".join(LINES), state=tmp_path))[0] == 0
    async with hubbub.connect(shared.server(), visible=False, keep_session=True) as killed:
        await killed.join(room)
        for ident, text in zip(line_ids("build 9", 4), LINES[:3], strict=False):
            await killed.say(room, text, id=ident)
        forget_acknowledgements(tmp_path, token=killed.token, senders=[killed.sender], cursor=4)
    assert (await run(shared, *told, stdin="\n".join(LINES), state=tmp_path))[0] == 0
    assert (
        await stored(shared, room) == LINES * 2
    )  # of the first run, and of the killed and the last


async def test_send_costs_little(shared: Cluster, room: str) -> None:
    """“`hubbub send` under 300 ms.” On a busy machine the processor's time says more."""
    costs = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert (await run(shared, "send", room, "hi"))[0] == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(costs) < slack(0.2), costs


def test_importing_hubbub_loads_nothing_that_only_clients_need() -> None:
    code = (
        "import sys, hubbub, hubbub.frames, hubbub.wire\n"
        "print([m for m in ('asyncio', 'zmq', 'prompt_toolkit', 'hubbub.client')"
        " if m in sys.modules])\n"
        "assert hubbub.connect and hubbub.Message and 'connect' in dir(hubbub)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=clean_environment(), check=True
    )
    assert found.stdout.strip() == b"[]"


def test_send_imports_no_line_editor_and_no_database() -> None:
    code = (
        "import sys, hubbub.cli, hubbub.cli.send, hubbub.client\n"
        "print([m for m in ('prompt_toolkit', 'zmq', 'sqlalchemy', 'uvloop') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=clean_environment(), check=True
    )
    assert found.stdout.strip() == b"[]"


# --- tail, rooms, peers, status -------------------------------------------------------------------


async def test_tail_prints_by_number_and_follows(shared: Cluster, room: str) -> None:
    async with hubbub.connect(shared.server(0), name="Radha") as radha:
        await radha.join(room)
        for number in range(1, 31):
            await radha.say(room, f"text {number}")
        code, lines, _ = await run(shared, "tail", room, "--no-follow")
        assert (code, lines) == (0, [f"Radha: text {n}" for n in range(21, 31)])
        code, lines, _ = await run(shared, "tail", room, "--no-follow", "-n", "2")
        assert lines == ["Radha: text 29", "Radha: text 30"]
        code, lines, _ = await run(shared, "tail", room, "--no-follow", "--since", "27")
        assert lines == ["Radha: text 28", "Radha: text 29", "Radha: text 30"]
        code, lines, errors = await run(shared, "tail", room, "--since", "99")
        assert (code, lines, len(errors.splitlines())) == (65, [], 1)
        tail = await start(shared, "tail", room, "-n", "1", "--json", gateway=1)
        await eventually(lambda: len(tail.lines) == 1, 10)
        for number in range(31, 61):
            radha.say_nowait(room, f"text {number}")
        await eventually(lambda: len(tail.lines) == 31, 10)
        assert [one["seq"] for one in objects(tail.lines)] == list(range(30, 61))
        tail.process.send_signal(signal.SIGINT)
        assert await tail.end() == (130, "")


async def test_tail_goes_on_over_the_death_of_its_gateway(cluster: Cluster) -> None:
    both = f"{cluster.server(0)},{cluster.server(1)}"
    tail = await start(cluster, "tail", "lobby", "--json", "--server", both)
    async with hubbub.connect(cluster.server(1), name="Radha") as radha:
        await radha.join("lobby")
        for number in range(200):
            await radha.say("lobby", str(number))
            if number == 100:
                await eventually(lambda: tail.lines, 10)
                cluster.gateways[0].kill()
        await eventually(lambda: tail.lines and objects(tail.lines)[-1]["text"] == "199", 10)
        numbers = [one["seq"] for one in objects(tail.lines)]
        assert numbers == list(range(numbers[0], 201))
    tail.process.send_signal(signal.SIGTERM)
    assert (await tail.end())[0] == 143


async def test_a_closed_pipe_ends_tail_without_a_word(shared: Cluster, room: str) -> None:
    for number in range(3):
        await run(shared, "send", room, str(number))
    argv, env = shared.command("tail", room, "--no-follow")
    reader, writer = os.pipe()
    os.close(reader)
    process = await asyncio.create_subprocess_exec(
        *argv, env=env, stdout=writer, stderr=asyncio.subprocess.PIPE
    )
    os.close(writer)
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (141, b"")


async def test_rooms_peers_and_status_list_what_is_there(cluster: Cluster) -> None:
    async with hubbub.connect(cluster.server(1), name="Radha") as radha:
        await radha.join("lobby")
        await radha.say("lobby", "hi")
        code, lines, _ = await run(cluster, "rooms")
        assert (code, lines) == (0, ["lobby  1 here  1 entries"])
        assert objects((await run(cluster, "rooms", "--json"))[1])[0]["room"] == "lobby"
        code, lines, _ = await run(cluster, "peers")
        assert (code, len(lines)) == (0, 1)
        assert lines[0].startswith("Radha  here  gateway-2")
        assert objects((await run(cluster, "peers", "--json"))[1])[0]["name"] == "Radha"
        code, lines, _ = await run(cluster, "status")
        assert code == 0
        assert any(line.startswith("active worker") for line in lines)
        report = objects((await run(cluster, "status", "--json"))[1])[0]
        assert (report["t"], report["sessions"], len(report["gateways"])) == ("report", 2, 2)
