"""The subcommands that know accounts, with a real cluster; each person has a home of their own."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import hubbub
from hubbub.frames import Event, Message
from tests.chats import Someone
from tests.client.terminal import Terminal
from tests.support import Cluster, eventually

SECRET = "correct horse"


async def log_of(cluster: Cluster, room: str) -> list[Message | Event]:
    """All that stands in the log of a public room."""
    async with hubbub.connect(cluster.server(), visible=False) as client:
        await client.join(room)
        return (await client.history(room, after=0, limit=500)).events


# --- accounts ---------------------------------------------------------------------------------


async def test_an_account_is_made_kept_left_and_deleted(anna: Someone, room: str) -> None:
    """“`hubbub register NAME`, `login`, `logout`, `devices`, `passwd`”"""
    name = f"A{room}"
    assert await anna.does("register", name, PASSWORD=SECRET) == [
        f"{name} is your account now, and logged in here"
    ]
    kept = list((anna.home / "data" / "hubbub").iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert SECRET not in "".join(path.read_text() for path in kept)
    (device,) = await anna.does("devices")
    assert device.endswith("this one")
    assert len(await anna.does("devices", "--json")) == 1
    assert (await anna.run("register", f"B{room}", PASSWORD=SECRET))[0] == 2
    changed = await anna.does("passwd", PASSWORD=SECRET, NEW_PASSWORD="battery staple")
    assert changed == ["the password is changed; other devices are logged out"]
    assert await anna.does("devices")  # this one is not
    assert await anna.does("logout") == [f"{name} is logged out"]
    assert (await anna.run("devices"))[0] == 77
    assert (await anna.run("login", name, PASSWORD=SECRET))[0] == 77
    assert await anna.does("login", name, PASSWORD="battery staple")
    code, asked, errors = await anna.run("unregister", PASSWORD="battery staple")
    assert (code, asked) == (66, [])  # nobody is asked where nobody is
    assert "--yes" in errors
    assert (await anna.run("unregister", "--yes", PASSWORD=SECRET))[0] == 77
    deleted = await anna.does("unregister", "--yes", PASSWORD="battery staple")
    assert deleted == [f"the account {name} is deleted"]
    code, _, errors = await anna.run("register", name, PASSWORD=SECRET)
    assert code == 77
    assert errors.endswith("is kept from others for 30 days; choose another\n")
    assert (await anna.run("login", name, PASSWORD="battery staple"))[0] == 77


async def test_what_is_wrong_with_a_login_is_told_by_the_exit_code(
    anna: Someone, ben: Someone, room: str
) -> None:
    name = f"A{room}"
    code, _, errors = await anna.run("register", name)
    assert (code, errors) == (
        66,
        "hubbub: there is no terminal to ask for the password; set HUBBUB_PASSWORD\n",
    )
    assert (await anna.run("register", name, PASSWORD="short"))[0] == 2
    assert (await anna.run("register", "a b", PASSWORD=SECRET))[0] == 2
    await anna.does("register", name, PASSWORD=SECRET)
    code, _, errors = await ben.run("register", name, PASSWORD=SECRET)
    assert (code, errors.count("log in")) == (77, 1)
    assert f"log in with `hubbub login {name}`, or choose another" in errors
    assert (await ben.run("login", name, PASSWORD="wrong one"))[0] == 77
    assert (await ben.run("login", f"No{room}", PASSWORD="wrong one"))[0] == 77
    assert (await ben.run("unread"))[0] == 77
    assert (await ben.run("chat", "--name", name))[0] == 77


async def test_nothing_is_asked_of_the_server_when_the_login_could_not_be_kept(
    anna: Someone, ben: Someone, room: str
) -> None:
    """`register` made the account and ended with 74, and not a word that there was one now."""
    name, nowhere = f"A{room}", Someone(anna.cluster, Path("/proc"))
    for command in ("register", "login"):
        code, _, errors = await nowhere.run(command, name, PASSWORD=SECRET)
        assert code == 74
        assert errors.startswith("hubbub: nothing was done: a login could not be kept here (/proc/")
        await ben.does(command, name, PASSWORD=SECRET)  # there is no such account yet
        assert len(await ben.does("devices")) == 1
        if command == "register":
            await ben.does("logout")
    lock = ben.home / "data" / "hubbub" / "accounts.lock"
    lock.unlink()
    lock.mkdir()
    assert (await ben.run("passwd", PASSWORD=SECRET, NEW_PASSWORD="battery staple"))[0] == 74
    await anna.does("login", name, PASSWORD=SECRET)


async def test_what_is_done_and_cannot_be_kept_is_told(anna: Someone, room: str) -> None:
    name, nowhere = f"A{room}", Someone(anna.cluster, Path("/proc"))
    flags = ("--name", name, "--room", room)
    code, lines, errors = await nowhere.run("chat", *flags, stdin="/register\n", PASSWORD=SECRET)
    assert (code, lines) == (74, [f"* {name} is your account now"])
    assert "you are logged in until you leave, but not kept here (/proc/" in errors
    assert f"`hubbub login {name}`" in errors


async def test_another_device_is_logged_out_from_here(
    anna: Someone, ben: Someone, room: str
) -> None:
    """“tokens per device, … listed and revocable”"""
    name = f"A{room}"
    await anna.does("register", name, PASSWORD=SECRET)
    await ben.does("login", name, PASSWORD=SECRET)
    devices = [json.loads(line) for line in await anna.does("devices", "--json")]
    (other,) = [one["device"] for one in devices if not one.get("current")]
    await anna.does("devices", "--revoke", str(other))
    code, _, errors = await ben.run("rooms")
    assert code == 77
    assert f"`hubbub login {name}`" in errors
    assert await ben.does("rooms", "--guest") is not None
    assert await ben.does("logout") == [f"{name} is logged out"]  # here it is forgotten


async def test_who_revokes_the_device_in_use_is_logged_out_here(anna: Someone, room: str) -> None:
    """“Forgets the account on this machine”: later commands go as a guest, and none fails."""
    await anna.does("register", f"A{room}", PASSWORD=SECRET)
    (device,) = [json.loads(line) for line in await anna.does("devices", "--json")]
    await anna.does("devices", "--revoke", str(device["device"]))
    assert (await anna.run("devices"))[0] == 77
    assert await anna.does("rooms") is not None


async def test_the_password_is_asked_for_unseen(shared: Cluster, anna: Someone, room: str) -> None:
    """“asked without echo”"""
    terminal = Terminal()
    argv, environ = anna.command("register", f"A{room}")
    await terminal.start(argv, environ)
    await terminal.shows(lambda rows: rows[-1:] == ["New password:"])
    terminal.type(f"{SECRET}\r")
    await terminal.shows(lambda rows: rows[-1:] == ["The same again:"])
    terminal.type(f"{SECRET}\r")
    await terminal.shows(lambda rows: "is your account now" in rows[-1])
    assert not any(SECRET in row for row in terminal.screen.text())
    await terminal.close()


async def test_who_types_another_name_keeps_the_account(anna: Someone, room: str) -> None:
    await anna.does("register", f"A{room}", PASSWORD=SECRET)
    terminal = Terminal(columns=90)
    await terminal.start(*anna.command("unregister", PASSWORD=SECRET))
    await terminal.shows(lambda rows: rows[-1:] != [] and rows[-1].endswith("Type its name:"))
    terminal.type(f"B{room}\r")
    await terminal.shows(lambda rows: rows[-1] == "hubbub: that is not its name; nothing was done")
    assert await terminal.process.wait() == 2
    await terminal.close()
    assert len(await anna.does("devices")) == 1


# --- being an account -------------------------------------------------------------------------


async def test_the_account_speaks_unless_a_guest_is_asked_for(anna: Someone, room: str) -> None:
    """“use the stored account of that server unless `--guest` or `--name` is given”"""
    name = f"A{room}"
    await anna.does("register", name, PASSWORD=SECRET)
    await anna.does("send", room, "as myself")
    await anna.does("send", room, "also as myself", "--name", name.lower())
    await anna.does("send", room, "as a guest", "--guest")
    await anna.does("send", room, "as another", "--name", f"B{room}")
    said = {one.text: one.name for one in await log_of(anna.cluster, room)
            if isinstance(one, Message)}  # fmt: skip
    assert said["as myself"] == said["also as myself"] == name
    assert said["as a guest"].startswith("guest")
    assert said["as another"] == f"B{room}"
    listed = [json.loads(line) for line in await anna.does("rooms", "--json")]
    assert [one["room"] for one in listed if one.get("joined")] == [room]


async def test_an_account_may_repeat_a_send_by_its_id_alone(anna: Someone, room: str) -> None:
    """“`--id` makes a script's retry safe.”"""
    await anna.does("register", f"A{room}", PASSWORD=SECRET)
    for _ in range(2):
        await anna.does("send", room, "--id", f"one {room}", stdin="a\nb\n")
    assert (await anna.run("send", room, "other", "--id", f"one {room}"))[0] == 65
    said = [one.text for one in await log_of(anna.cluster, room) if isinstance(one, Message)]
    assert said == ["a", "b"]


async def test_tail_makes_no_account_a_member_of_a_public_room(
    anna: Someone, ben: Someone, room: str
) -> None:
    """“`tail` must not make an account a lasting member of a public room it was not in”"""
    await anna.does("register", f"A{room}", PASSWORD=SECRET)
    await ben.does("send", room, "hi")
    (line,) = await anna.does("tail", room, "--no-follow")
    assert line.endswith(": hi")
    assert len(await log_of(anna.cluster, room)) == 1  # nobody joined
    assert await anna.does("unread", "--all") == []


async def test_tail_reads_private_rooms_and_conversations_as_the_account(
    anna: Someone, ben: Someone, room: str
) -> None:
    one, other = f"A{room}", f"B{room}"
    await anna.does("register", one, PASSWORD=SECRET)
    await ben.does("register", other, PASSWORD=SECRET)
    await anna.does("chat", "--room", f"p{room}", stdin="/private\nin here\n")
    lines = await anna.does("tail", f"p{room}", "--no-follow")
    assert lines[-1] == f"{one}: in here"
    assert (await ben.run("tail", f"p{room}", "--no-follow"))[0] == 77
    await anna.does("send", f"@{other}", "just", "you")
    assert await ben.does("tail", f"@{one}", "--no-follow") == [f"{one}: just you"]


async def test_what_is_said_to_one_person_waits_for_them(
    anna: Someone, ben: Someone, room: str
) -> None:
    """“A private message to an offline person is there when they come, unread.”"""
    one, other = f"A{room}", f"B{room}"
    await anna.does("register", one, PASSWORD=SECRET)
    await ben.does("register", other, PASSWORD=SECRET)
    await anna.does("send", f"@{other}", "call me")
    await anna.does("send", f"@{other}", "a guest says the same", "--name", f"C{room}")
    rows = [line.split() for line in await ben.does("unread")]
    assert [row[1:] for row in rows] == [["1", "unread"]] * 2
    assert f"@{one}" in {row[0] for row in rows}  # the guest has gone, and its name with it
    assert (await anna.run("send", f"@No{room}", "x"))[0] == 77


async def test_search_finds_words_with_what_was_said_around_them(anna: Someone, room: str) -> None:
    """“full-text search over what one may see …, ranked, with context”"""
    lines = ["before", f"zebra{room} crossing", "after"]
    await anna.does("send", room, stdin="\n".join(lines))
    query = ("search", f"zebra{room}")
    found = await eventually_found(anna, *query)
    assert len(found) == 1
    assert found[0].startswith(f"{room} #2 ")
    assert found[0].endswith(f": {lines[1]}")
    around = await anna.does(*query, "--context", "1")
    assert [line.split(": ")[1] for line in around] == lines
    (hit,) = [json.loads(line) for line in await anna.does(*query, "--json")]
    assert hit["message"]["text"] == lines[1]
    assert (await anna.run("search", f"yak{room}"))[:2] == (1, [])
    assert (await anna.run("search", "in:"))[0] == 2


async def eventually_found(someone: Someone, *query: str) -> list[str]:
    async def look() -> list[str]:
        return (await someone.run(*query))[1]

    return await eventually(look, 10)


async def test_members_lists_also_who_is_away(anna: Someone, ben: Someone, room: str) -> None:
    await anna.does("register", f"A{room}", PASSWORD=SECRET)
    await anna.does("send", room, "hi")
    (line,) = await ben.does("members", room)
    assert line.split() == [f"A{room}", "offline", "owner"]
    (person,) = [json.loads(line) for line in await ben.does("members", room, "--json")]
    assert (person["name"], person["state"]) == (f"A{room}", "offline")
    assert (await ben.run("members", f"no{room}"))[0] == 77


# --- operators --------------------------------------------------------------------------------


async def test_an_operator_keeps_order_in_the_cluster(
    anna: Someone, ben: Someone, room: str
) -> None:
    """“operator of the cluster: suspend, rename, close a room, announce, see addresses”"""
    boss, other = f"A{room}", f"B{room}"
    await anna.does("register", boss, PASSWORD=SECRET)
    await ben.does("register", other, PASSWORD=SECRET)
    assert (await anna.run("operator", "audit"))[0] == 77
    assert (await anna.run("operator", "add", boss, "--data", str(anna.home)))[0] == 74
    status, _, told = await anna.run("operator", "add", boss)
    assert (status, "--data DIR" in told) == (77, True)
    await anna.does("operator", "add", boss, "--data", str(anna.cluster.data))
    await ben.does("send", room, "mine")
    await anna.does("operator", "suspend", other, "--reason", "too loud", "--for", "1d")
    code, _, errors = await ben.run("rooms")
    assert code == 77
    assert "too loud" in errors
    await anna.does("operator", "unsuspend", other)
    await ben.does("login", other, PASSWORD=SECRET)
    await anna.does("operator", "rename", other, f"C{room}")
    assert await ben.does("send", room, "again") == []
    await anna.does("operator", "announce", "tea", "is", "ready")
    await anna.does("operator", "close", room, "--reason", "over")
    assert not any(line.split()[0] == room for line in await anna.does("rooms"))
    async with hubbub.connect(anna.cluster.server(2), name=f"G{room}"):
        people = {line.split()[0]: line for line in await anna.does("operator", "people")}
        assert "127.0.0.1" in people[f"G{room}"]
        assert "guest" in people[f"G{room}"]
    acts = [line.split() for line in await anna.does("operator", "audit", "-n", "6")]
    assert [act[3] for act in acts] == [
        "promote",
        "suspend",
        "unsuspend",
        "rename",
        "announce",
        "close",
    ]
    assert all(act[2] == boss for act in acts[1:])
    await anna.does("operator", "remove", boss)
    assert (await anna.run("operator", "announce", "x"))[0] == 77
    assert (await ben.run("operator"))[0] == 2
