"""How a client keeps the session of an account, with servers that say what a test wants."""

from __future__ import annotations

import asyncio

import pytest

import hubbub
from hubbub.frames import Message
from tests.client.odd_account import ACCOUNT, FAST, logged_in, next_of
from tests.client.odd_server import Fields, Peer, serving

# --- logging in -------------------------------------------------------------------------------


async def test_a_password_logs_in_and_the_device_is_kept() -> None:
    async def good(peer: Peer) -> None:
        login = await peer.greet(device="device-1", operator=True, blocked=[5], **ACCOUNT)
        assert (login["t"], login["name"], login["password"]) == ("login", "Radha", "sesame")
        assert "token" not in login
        await peer.gone()

    async with logged_in(good) as (client, _):
        assert (client.name, client.sender, client.account) == ("Radha", 3, True)
        assert (client.device, client.operator, set(client.blocked)) == ("device-1", True, {5})


async def test_a_device_alone_logs_in_and_goes_along_with_a_password() -> None:
    """“login by token alone”; with a password it says that one has been here before."""
    seen: list[Fields] = []

    async def good(peer: Peer) -> None:
        seen.append(await peer.greet(**ACCOUNT))
        await peer.gone()

    async with logged_in(good, name=None, password=None, device="device-1") as (client, _):
        assert client.device == "device-1"  # as the server gives no other
    async with logged_in(good, password=None, device="device-1"):
        pass  # a device is whose it is, whatever the name
    async with logged_in(good, device="device-1"):
        pass
    assert [("name" in one, "password" in one, one["token"]) for one in seen] == [
        (False, False, "device-1"),
        (False, False, "device-1"),
        (True, True, "device-1"),
    ]
    with pytest.raises(ValueError, match="name"):
        hubbub.connect(password="sesame")


@pytest.mark.parametrize("password", ["", "x" * 257])
async def test_what_can_be_no_password_is_no_way_to_come_as_a_guest(password: str) -> None:
    async def good(peer: Peer) -> None:
        await peer.greet()
        await peer.answer_pings()

    async with serving(good) as server:
        with pytest.raises(hubbub.Refused) as caught:
            async with hubbub.connect(server.address, name="Radha", password=password):
                pass
        assert caught.value.code == hubbub.Code.BAD_LOGIN
        assert server.connections == 0
        async with hubbub.connect(server.address, patience=FAST) as client:
            with pytest.raises(hubbub.Refused):
                await client.login("Radha", password)
        assert server.connections == 1


@pytest.mark.parametrize("code", ["bad_login", "suspended"])
async def test_a_refused_login_is_told_at_once(code: str) -> None:
    async def bad(peer: Peer) -> None:
        peer.refuse(await peer.expect("login"), code)
        await peer.gone()

    async with serving(bad) as server:
        with pytest.raises(hubbub.Refused) as caught:
            async with hubbub.connect(server.address, name="Radha", password="?", patience=FAST):
                pass
        assert caught.value.code == code
        assert server.connections == 1


async def test_after_its_session_expired_an_account_logs_in_again_by_its_device() -> None:
    """The same person: what was not answered is asked again with its id, not given up."""
    asked: list[bytes] = []

    async def first(peer: Peer) -> None:
        await peer.greet(device="device-1", **ACCOUNT)
        asked.append((await peer.expect("say"))["id"])
        peer.cut()

    async def expired(peer: Peer) -> None:
        peer.refuse(await peer.expect("resume"), "expired")
        await peer.gone()

    async def second(peer: Peer) -> None:
        login = await peer.greet(**ACCOUNT)
        assert (login["t"], login["token"]) == ("login", "device-1")
        assert "password" not in login
        asked.append((await peer.ok("say", seq=4))["id"])
        await peer.gone()

    async with logged_in(first, expired, second) as (client, _):
        assert (await client.say("lobby", "hi")).seq == 4
        assert await next_of(client, hubbub.Reconnected) == hubbub.Reconnected("Radha", False)
    assert asked[0] == asked[1]


@pytest.mark.parametrize("code", ["bad_login", "suspended"])
async def test_when_its_device_is_no_longer_good_the_client_ends(code: str) -> None:
    async def first(peer: Peer) -> None:
        await peer.greet(device="device-1", **ACCOUNT)
        await peer.expect("ping")
        peer.cut()

    async def expired(peer: Peer) -> None:
        peer.refuse(await peer.expect("resume"), "expired")
        await peer.gone()

    async def refused(peer: Peer) -> None:
        peer.refuse(await peer.expect("login"), code)
        await peer.gone()

    async with logged_in(first, expired, refused) as (client, server):
        with pytest.raises(hubbub.Refused) as caught:
            await client.ping()
        assert caught.value.code == code
        with pytest.raises(hubbub.Refused):
            await next_of(client, Message)
        assert server.connections == 3


async def test_a_session_that_is_ended_for_a_reason_ends_the_client_with_it() -> None:
    """“the connection ends with that code and text instead of `replaced`”"""

    async def ended(peer: Peer) -> None:
        await peer.greet(device="device-1", **ACCOUNT)
        await peer.expect("ping")
        peer.send("error", code="suspended", text="until Monday")
        await peer.gone()

    async with logged_in(ended) as (client, server):
        with pytest.raises(hubbub.Refused, match="until Monday"):
            await client.ping()
        assert server.connections == 1


async def test_what_was_sent_before_a_session_ended_may_have_been_done() -> None:
    """“OutcomeUnknown: it may or may not have been done”: a suspension came before the answer"""

    async def ended(peer: Peer) -> None:
        await peer.greet(device="device-1", **ACCOUNT)
        await peer.expect("say")
        peer.send("error", code="suspended", text="until Monday")
        await peer.gone()

    async with logged_in(ended) as (client, _):
        with pytest.raises(hubbub.OutcomeUnknown, match="until Monday"):
            await client.say("lobby", "hi")
        with pytest.raises(hubbub.Refused) as caught:  # never sent, so never done
            await client.say("lobby", "anybody?")
        assert caught.value.code == "suspended"


async def test_what_one_said_of_oneself_holds_on_a_new_session() -> None:
    async def first(peer: Peer) -> None:
        await peer.greet(device="device-1", **ACCOUNT)
        await peer.ok("away")
        peer.cut()

    async def expired(peer: Peer) -> None:
        peer.refuse(await peer.expect("resume"), "expired")
        await peer.gone()

    async def second(peer: Peer) -> None:
        await peer.greet(**ACCOUNT)
        away = await peer.ok("away")
        assert (away.get("state", "away"), away["text"]) == ("busy", "in a meeting")
        await peer.answer_pings()

    async with logged_in(first, expired, second) as (client, _):
        await client.away("busy", "in a meeting")
        await next_of(client, hubbub.Reconnected)
        await client.ping()


# --- becoming somebody ------------------------------------------------------------------------


async def test_registering_makes_the_running_session_an_account() -> None:
    async def first(peer: Peer) -> None:
        await peer.greet(sender=3)
        register = await peer.expect("register")
        assert register["password"] == "sesame!"
        peer.send("granted", ref=register["ref"], name="Radha", sender=3, device="device-9")
        await peer.expect("ping")
        peer.cut()

    async def expired(peer: Peer) -> None:
        peer.refuse(await peer.expect("resume"), "expired")
        await peer.gone()

    async def second(peer: Peer) -> None:
        assert (await peer.greet(**ACCOUNT))["token"] == "device-9"
        await peer.answer_pings()

    async with (
        serving(first, expired, second) as server,
        hubbub.connect(server.address, name="Radha", patience=FAST) as client,
    ):
        assert (client.account, client.device) == (False, "")
        await client.register("sesame!")
        assert (client.account, client.device, client.sender) == (True, "device-9", 3)
        await client.ping()


async def test_another_password_brings_another_device() -> None:
    async def good(peer: Peer) -> None:
        await peer.greet(device="device-1", **ACCOUNT)
        passwd = await peer.expect("passwd")
        assert (passwd["old"], passwd["new"]) == ("sesame", "simsim")
        peer.send("granted", ref=passwd["ref"], name="Radha", sender=3, device="device-2")
        await peer.gone()

    async with logged_in(good) as (client, _):
        await client.passwd("sesame", "simsim")
        assert client.device == "device-2"


async def test_a_guest_who_logs_in_takes_the_rooms_along() -> None:
    """The old session ends only when the new one is welcomed; nothing asked is lost or doubled."""
    old_is_over = asyncio.Event()
    rita = {"t": "person", "sender": 9, "name": "Rita"}

    async def guest(peer: Peer) -> None:
        await peer.greet(sender=1)
        await peer.let_join(head=4)
        say = await peer.expect("say")
        assert say["text"] == "as a guest"
        await peer.silence(0.1)
        peer.send("ok", ref=say["ref"], room="lobby", seq=5)
        peer.message(5, "as a guest", sender=1)
        bye = await peer.expect("bye")
        peer.send("parted", room="lobby")  # the guest is, and nobody else
        peer.send("ok", ref=bye["ref"])
        peer.cut()
        old_is_over.set()

    async def account(peer: Peer) -> None:
        login = await peer.expect("login")
        assert (login["name"], login["password"]) == ("Radha", "sesame")
        state = {"t": "roomstate", "room": "den", "head": 8, "count": 8, "mark": 6, "marked": 6}
        peer.welcome(login, device="device-1", rooms=[state], **ACCOUNT)
        join = await peer.expect("join")
        assert (join["room"], join["since"]) == ("lobby", 5)
        peer.roster(join["ref"], 5, members=[rita])
        say = await peer.expect("say")
        assert say["text"] == "as Radha"
        peer.send("ok", ref=say["ref"], room="lobby", seq=6)
        peer.message(6, "as Radha", sender=3)
        peer.message(9, "in the den", room="den")
        await peer.gone()

    async with (
        serving(guest, account) as server,
        hubbub.connect(server.address, patience=FAST) as client,
    ):
        await client.join("lobby")
        before = client.say_nowait("lobby", "as a guest")
        login = asyncio.ensure_future(client.login("Radha", "sesame"))
        await asyncio.sleep(0)
        after = client.say_nowait("lobby", "as Radha")
        await login
        assert old_is_over.is_set()
        assert (client.name, client.account, client.device) == ("Radha", True, "device-1")
        assert ((await before).seq, (await after).seq) == (5, 6)
        texts = [(await next_of(client, Message)).text for _ in range(3)]
        assert texts == ["as a guest", "as Radha", "in the den"]
        assert sorted(client.joined) == ["den", "lobby"]
        assert server.connections == 2


async def test_a_login_that_is_refused_leaves_everything_as_it_was() -> None:
    over = asyncio.Event()

    async def guest(peer: Peer) -> None:
        await peer.greet(sender=1)
        await peer.answer_pings()
        over.set()

    async def bad(peer: Peer) -> None:
        peer.refuse(await peer.expect("login"), "bad_login")
        await peer.gone()

    async with (
        serving(guest, bad) as server,
        hubbub.connect(server.address, name="Guest", patience=FAST) as client,
    ):
        for _ in range(2):
            with pytest.raises(hubbub.Refused) as caught:
                await client.login("Radha", "?")
            assert caught.value.code == hubbub.Code.BAD_LOGIN
            await client.ping()
        assert (client.name, client.sender, client.account) == ("Guest", 1, False)
        assert server.connections == 3
        assert not over.is_set()


async def test_a_resume_that_comes_too_late_does_not_undo_a_login() -> None:
    resuming, in_use, given_up = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def guest(peer: Peer) -> None:
        await peer.greet(sender=1)
        peer.cut()

    async def late(peer: Peer) -> None:
        resume = await peer.expect("resume")
        resuming.set()
        await in_use.wait()
        peer.welcome(resume, sender=1)
        await peer.gone()
        given_up.set()

    async def account(peer: Peer) -> None:
        await peer.greet(device="device-1", **ACCOUNT)
        await peer.answer_pings()

    async with (
        serving(guest, late, account) as server,
        hubbub.connect(server.address, patience=FAST) as client,
        asyncio.timeout(10),
    ):
        await resuming.wait()
        await client.login("Radha", "sesame")
        await client.ping()
        in_use.set()
        await given_up.wait()
        await client.ping()
        assert client.account


async def test_only_one_login_at_a_time() -> None:
    async def guest(peer: Peer) -> None:
        await peer.greet(sender=1)
        await peer.gone()

    async with (
        serving(guest, Peer.gone) as server,
        hubbub.connect(server.address, patience=FAST) as client,
    ):
        login = asyncio.ensure_future(client.login("Radha", "sesame"))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            await client.login("Rita", "sesame")
        login.cancel()


@pytest.mark.parametrize("how", ["unregister", "revoke"])
async def test_who_ends_the_own_account_or_device_is_not_sent_back(how: str) -> None:
    async def good(peer: Peer) -> None:
        await peer.greet(device="device-1", **ACCOUNT)
        await peer.ok(how)
        peer.send("error", code="expired", text="the session is over")
        peer.cut()

    async with logged_in(good) as (client, server):
        await (client.unregister("sesame") if how == "unregister" else client.revoke())
        assert [event async for event in client] == []
        with pytest.raises(hubbub.Unreachable):
            await client.ping()
    assert server.connections == 1
