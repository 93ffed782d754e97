"""What docs/operations.md says to type for whose a room is, done on a real cluster."""

from __future__ import annotations

import shlex

import hubbub
from tests.chats import Someone
from tests.pages import blocks
from tests.support import Cluster

SECRET = "correct horse"


async def roles(cluster: Cluster, room: str) -> dict[str, str]:
    """What the accounts in a room are to it."""
    async with hubbub.connect(cluster.server(), visible=False) as client:
        people = (await client.members(room, offline=True)).members
    return {each.name: each.role for each in people}


async def keeps(someone: Someone, name: str, room: str) -> None:
    """Do with the room what the page says to do with the lobby."""
    (commands,) = blocks("docs/operations.md", "### Whose a room is")
    for line in commands.splitlines():
        program, *words = shlex.split(line)
        assert program == ".venv/bin/hubbub"
        given = {"NAME": name, "lobby": room}
        await someone.does(*(given.get(word, word) for word in words), PASSWORD=SECRET)


async def test_who_enters_the_lobby_first_keeps_it(anna: Someone, ben: Someone, room: str) -> None:
    """“the first account that enters it while nobody is in it becomes its owner”"""
    await ben.does("send", room, "I was here")  # a guest, who is gone again
    await keeps(anna, f"A{room}", room)
    await keeps(ben, f"B{room}", room)
    assert await roles(anna.cluster, room) == {f"A{room}": "owner", f"B{room}": "member"}


async def test_an_operator_of_the_cluster_can_make_a_room_of_somebodys_their_own(
    anna: Someone, ben: Someone, room: str
) -> None:
    """“enter it with `hubbub chat` and say `/role NAME owner` there”"""
    name = f"A{room}"
    await keeps(ben, f"B{room}", room)
    await anna.does("register", name, PASSWORD=SECRET)
    await anna.does("operator", "add", name, "--data", str(anna.cluster.data))
    await anna.does("chat", "--room", room, stdin=f"/role {name} owner\n")
    assert (await roles(anna.cluster, room))[name] == "owner"


async def test_a_room_with_a_guest_in_it_belongs_to_nobody(anna: Someone, room: str) -> None:
    """“Where guests are in it just then, it goes on to belong to nobody.”"""
    async with hubbub.connect(anna.cluster.server(), name=f"G{room}") as guest:
        await guest.join(room)
        await keeps(anna, f"A{room}", room)
    assert await roles(anna.cluster, room) == {f"A{room}": "member"}
