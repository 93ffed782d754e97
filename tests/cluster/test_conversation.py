"""Three people on three gateways hold a conversation through `hubbub chat`."""

from __future__ import annotations

from contextlib import ExitStack

import hubbub
from tests.chats import PipedChat, TypedChat
from tests.fixtures import ClusterFactory
from tests.support import Cluster, eventually

CONVERSATION = [
    ("Radha", "hi friends! When are you coming?"),
    ("Varsha", "At 5pm"),
    ("Rita", "I will be at 6:30pm"),
]
SPOKEN = [f"{name}: {text}" for name, text in CONVERSATION]


async def came_in(cluster: Cluster, name: str) -> None:
    """Wait until somebody of this name is in the lobby."""

    async def there() -> bool:
        return name in {person.name for person in (await watcher.join("lobby")).members}

    async with hubbub.connect(cluster.server(1), visible=False) as watcher:
        await eventually(there, 10, what=f"{name} comes in")


async def test_piped_all_three_see_the_same_lines_in_one_order(
    make_cluster: ClusterFactory,
) -> None:
    """“each sees the others' lines, in one order, with entered/left notices”"""
    cluster = await make_cluster(gateways=3)
    with ExitStack() as stack:
        chats: dict[str, PipedChat] = {}
        for gateway, (name, _) in enumerate(CONVERSATION):
            chats[name] = PipedChat(cluster, name, gateway)
            stack.callback(chats[name].kill)
            await came_in(cluster, name)
            for other in list(chats)[:-1]:
                await chats[other].shows(f"* {name} entered")
        for name, text in CONVERSATION:
            chats[name].type(text)
            for chat in chats.values():
                await chat.shows(f"{name}: {text}")
        assert await chats["Rita"].leave() == 0
        await chats["Radha"].shows("* Rita left")
        assert await chats["Varsha"].leave() == 0
        await chats["Radha"].shows("* Varsha left")
        assert await chats["Radha"].leave() == 0
        for chat in chats.values():
            assert [line for line in chat.lines() if ": " in line] == SPOKEN
        notices = [line for line in chats["Radha"].lines() if line.startswith("* ")]
        assert notices == ["* Varsha entered", "* Rita entered", "* Rita left", "* Varsha left"]


async def test_typed_all_three_see_the_same_lines_in_one_order(
    make_cluster: ClusterFactory,
) -> None:
    """“through `hubbub chat`, piped and typed”"""
    cluster = await make_cluster(gateways=3)
    with ExitStack() as stack:
        chats: dict[str, TypedChat] = {}
        for gateway, (name, _) in enumerate(CONVERSATION):
            chats[name] = TypedChat(cluster, name, gateway)
            stack.callback(chats[name].kill)
            for other in list(chats)[:-1]:
                await chats[other].shows(f"* {name} entered")
            await chats[name].shows("* You are in lobby")
        for name, text in CONVERSATION:
            chats[name].type(text)
            for chat in chats.values():
                await chat.shows(f"{name}: {text}")
        chats["Rita"].type("/quit")
        assert await chats["Rita"].ended() == 0
        for name in ("Radha", "Varsha"):
            await chats[name].shows("* Rita left")
        for chat in chats.values():
            places = [chat.screen().index(line) for line in SPOKEN]
            assert places == sorted(places)


async def test_a_file_is_said_line_by_line_and_acknowledged_before_the_end(
    make_cluster: ClusterFactory,
) -> None:
    """“sends each line in order … and at the end of input leaves once all are acknowledged”"""
    cluster = await make_cluster(gateways=2)
    lines = [f"line {number}" for number in range(300)]
    (cluster.root / "lines.txt").write_text("\n".join(lines))
    with ExitStack() as stack:
        reader = PipedChat(cluster, "reader", 0)
        stack.callback(reader.kill)
        await came_in(cluster, "reader")
        writer = PipedChat(cluster, "writer", 1, "--input", str(cluster.root / "lines.txt"))
        stack.callback(writer.kill)
        assert await writer.leave() == 0
        await reader.shows("* writer left")
        for chat in (reader, writer):
            said = [line.removeprefix("writer: ") for line in chat.lines() if line[0] != "*"]
            assert said == lines
