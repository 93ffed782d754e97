"""The `hubbub` command as a person or a script runs it, with a real cluster."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

import hubbub
from tests.client.commands import objects, run, start
from tests.support import Cluster, eventually

pytestmark = pytest.mark.usefixtures("nothing_left_running")
CHAT = ("chat", "--name", "Radha")


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
    assert (code, errors) == (65, "hubbub: line 5: this is no UTF-8\n")
    assert lines == ["Radha: one", "Radha: two", "Radha: last without end"]
    assert (await run(shared, "chat", "--room", room, "--input", str(tmp_path / "none")))[0] == 66


async def test_every_command_does_what_help_says(shared: Cluster, room: str) -> None:
    """`/join /leave /me /nick /who /rooms /history /quit /help`, `//`; others: chat/."""
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
