"""A whole gateway process over real brokers, against an owner that fails when told to."""

from __future__ import annotations

import os
import random
import re
import signal

import pytest

from hubbub import frames, wire
from hubbub.wire import Item, Kind
from tests.native import AnsweredError, RawClient
from tests.support import eventually, passing
from tests.unit.gateway.owner import Owner
from tests.unit.gateway.stage import Stage, login, staged


async def test_what_one_says_the_other_is_shown_before_the_ok(stage: Stage) -> None:
    """“A client sees its own message no later than its `ok`.”"""
    radha, rita = await stage.people("Radha", "Rita")
    answer = await radha.ask("say", room="lobby", text="hi", id=os.urandom(16))
    assert answer["seq"] == 1
    assert radha.texts()[: answer["seen_before"]] == ["hi"]
    await rita.until_text("hi")
    assert radha.presences("Rita") == ["entered"]


async def _asked(owner: Owner, kind: type, count: int) -> None:
    await eventually(lambda: len(owner.asks(kind)) >= count)


async def _shown(client: RawClient, count: int) -> None:
    await client.until(lambda: len(client.texts()) >= count)


# --- the stream -------------------------------------------------------------------------------


async def test_a_lost_last_batch_is_repaired_by_the_repeated_position(stage: Stage) -> None:
    """“Every second without a batch the owner repeats its position.”"""
    owner = stage.owner
    radha, rita = await stage.people("Radha", "Rita")
    owner.lose = lambda position: True
    owner.publish([owner.message("lobby", "lost")])
    owner.lose = lambda position: False
    owner.repeat_position()
    await rita.until_text("lost")
    await radha.until_text("lost")
    assert len(owner.frames_of(wire.Refill)) >= 1


async def test_lost_batches_in_the_middle_are_shown_in_order_and_once(stage: Stage) -> None:
    """“A gap: hold, ask the owner for the missing positions, deliver in order.”"""
    owner = stage.owner
    (rita,) = await stage.people("Rita")
    owner.lose = lambda position: position % 3 != 0
    for number in range(30):
        owner.publish([owner.message("lobby", str(number))])
    owner.lose = lambda position: False
    owner.publish([owner.message("lobby", "end")])
    await rita.until_text("end")
    assert rita.texts() == [*map(str, range(30)), "end"]


async def test_what_the_owner_keeps_no_more_is_read_from_the_log(stage: Stage) -> None:
    """“What is too old there comes from the rooms' logs.”"""
    owner = stage.owner
    radha, rita, _ = await stage.people("Radha", "Rita", "Gone")
    owner.lose = lambda position: True
    owner.forgetful = True
    for number in range(1200):
        owner.publish([owner.message("lobby", str(number))])
    owner._presence(owner.rooms["lobby"], 3, "left")
    owner.lose = lambda position: False
    owner.publish([owner.message("lobby", "end")])
    await rita.until_text("end")
    assert rita.texts() == [*map(str, range(1200)), "end"]
    assert rita.presences("Gone") == ["entered", "left"]
    assert radha.texts() == rita.texts()


async def test_a_new_owner_is_given_what_the_old_one_did_not_answer_in_order(stage: Stage) -> None:
    """“All its unanswered requests go out again, in order, as batches of the new term.”"""
    owner = stage.owner
    (radha,) = await stage.people("Radha")
    owner.mute = True
    answers = []
    for number in range(10):
        answers.append(radha.send("say", room="lobby", text=str(number), id=os.urandom(16)))
        await _asked(owner, frames.Say, number + 1)
    owner.message("lobby", "committed, never published")
    owner.new_term()
    owner.mute = False
    owner.repeat_position()
    for answer in answers:
        assert (await answer)["t"] == "ok"
    assert radha.texts() == ["committed, never published", *map(str, range(10))]


async def test_a_lower_term_is_ignored(stage: Stage) -> None:
    """“A lower term is ignored by all.”"""
    owner = stage.owner
    (rita,) = await stage.people("Rita")
    owner.new_term()
    owner.publish([owner.message("lobby", "new")])
    await rita.until_text("new")
    item = Item(Kind.MESSAGE, 1, 2, 9, frames.encoder.encode(frames.Ok(1)))
    owner.publish([item], term=1)
    owner.position -= 1
    owner.publish([owner.message("lobby", "end")])
    await rita.until_text("end")
    assert rita.texts() == ["new", "end"]


async def test_another_epoch_closes_whoever_follows_a_room(stage: Stage) -> None:
    """“Epoch changed: clients resume or reload.”"""
    owner = stage.owner
    (rita,) = await stage.people("Rita")
    owner.epoch = 78
    owner.new_term()
    owner.repeat_position()
    await rita.closed()
    assert rita.seen[-1]["code"] == "epoch_changed"


async def test_a_gateway_declared_gone_asks_for_its_sessions_back(stage: Stage) -> None:
    """“`GATEWAY_GONE` on the stream tells it, should it still live, to `Sync`.”"""
    owner = stage.owner
    (rita,) = await stage.people("Rita")
    owner.publish([Item(Kind.GATEWAY_GONE, 0, 0, 0, stage.gateway.encode())])
    await eventually(lambda: owner.frames_of(wire.Sync)[-1].sessions == [(1, 1)])
    owner.publish([owner.message("lobby", "still here")])
    await rita.until_text("still here")


# --- sessions ---------------------------------------------------------------------------------


async def test_a_session_resumed_elsewhere_closes_the_older_connection(stage: Stage) -> None:
    """“The gateway that held the older one closes that connection.”"""
    owner = stage.owner
    (rita,) = await stage.people("Rita")
    owner.publish([Item(Kind.SESSION_OVER, 0, 1, 1, b"")])  # below generation 1: not this one
    await rita.ping()
    owner.publish([Item(Kind.SESSION_OVER, 0, 2, 1, b"")])
    await rita.closed()
    assert rita.seen[-1]["code"] == "replaced"
    assert not owner.asks(wire.Lost)


async def test_a_session_that_is_over_at_a_sync_is_told_so(stage: Stage) -> None:
    owner = stage.owner
    (rita,) = await stage.people("Rita")
    owner.sessions[1] = (5, "Rita", "elsewhere")
    owner.new_term()
    owner.repeat_position()
    await rita.closed()
    assert rita.seen[-1]["code"] == "expired"


async def test_a_resume_with_a_cursor_below_the_head_is_behind(stage: Stage) -> None:
    """“A reader with a cursor below the head is `behind`”, until a page reaches the head."""
    owner = stage.owner
    radha, rita = await stage.people("Radha", "Rita")
    for number in range(5):
        await radha.say("lobby", str(number))
    rita.abort()
    await eventually(lambda: owner.asks(wire.Lost))
    again = await rita.resume(stage.address, lobby=2)
    assert again.welcome["rooms"] == [
        {"t": "roomstate", "room": "lobby", "head": 5, "count": 5, "mark": 2}
    ]
    await again.until(lambda: again.seen)
    assert again.seen[0] | {"t": "behind", "room": "lobby", "next": 3} == again.seen[0]
    await radha.say("lobby", "5")
    await again.ping()
    assert again.texts() == []
    page = await again.ask("history", room="lobby", after=2)
    assert [event["seq"] for event in page["events"]] == [3, 4, 5, 6]
    await radha.say("lobby", "live again")
    await again.until_text("live again")


@pytest.mark.parametrize("greeting", ["hello", "login"])
async def test_a_session_whose_client_left_before_it_began_is_ended(
    stage: Stage, greeting: str
) -> None:
    """Nobody has the token: the name must not stay taken, nor the session go on with nobody."""
    owner = stage.owner
    owner.mute = True
    client = await RawClient.connect(stage.address)
    client.send(greeting, name="Hasty", id=os.urandom(16))
    kind = frames.Hello if greeting == "hello" else frames.Login
    await eventually(lambda: owner.asks(kind))
    client.abort()
    owner.mute = False
    await eventually(lambda: [ask.session for ask in owner.asks(frames.Bye)] == [1])


async def test_a_refused_join_leaves_no_room_behind(stage: Stage) -> None:
    """A room is kept for a join on its way, and no longer than that."""
    owner = stage.owner
    (radha,) = await stage.people("Radha")
    rita = await RawClient.open(stage.address, "Rita")
    owner.deaf_to = lambda frame: isinstance(frame, frames.Join)
    joined = rita.send("join", room="lobby", id=os.urandom(16))
    await eventually(lambda: len(owner.asks(frames.Join)) > 1)
    await radha.ask("leave", room="lobby", id=os.urandom(16))
    owner.rooms["lobby"].people.clear()
    owner.new_term()
    owner.repeat_position()
    await radha.ping()
    assert owner.frames_of(wire.Sync)[-1].rooms == [1]
    owner.refuse = frames.Join
    owner.deaf_to = lambda frame: False
    assert (await joined)["code"] == "not_allowed"
    owner.new_term()
    owner.repeat_position()
    await radha.ping()
    assert owner.frames_of(wire.Sync)[-1].rooms == []


async def test_a_lost_connection_is_told_and_a_clean_goodbye_is_not(stage: Stage) -> None:
    owner = stage.owner
    radha, rita = await stage.people("Radha", "Rita")
    await radha.close()
    rita.abort()
    await eventually(lambda: owner.asks(wire.Lost))
    assert {ask.session for ask in owner.asks(wire.Lost)} == {2}


# --- asking -----------------------------------------------------------------------------------


async def test_lost_asks_are_repeated_and_done_in_the_order_they_were_said(stage: Stage) -> None:
    """“What one connection says is numbered in the order it was said.”"""
    owner = stage.owner
    (radha,) = await stage.people("Radha")
    chance = random.Random(7)
    taken = owner._on_message

    def lossy(kind: int, data: bytes, offset: int) -> None:
        if chance.random() < 0.6:
            taken(kind, data, offset)

    owner.bus.subscribe(wire.shard_topic(0), lossy)
    answers = []
    for number in range(300):
        answers.append(radha.send("say", room="lobby", text=str(number), id=os.urandom(16)))
        if number % 10 == 0:
            await _shown(radha, number - 50)
    for answer in answers:
        assert (await answer)["t"] == "ok", await answer
    said = list(dict.fromkeys(radha.texts()))
    assert said == [str(number) for number in range(300)]


async def test_a_request_without_an_answer_is_unknown_at_its_deadline() -> None:
    """“After `request_within` its open requests are answered `unknown`.”"""
    async with staged(request_within=1) as stage:
        owner = stage.owner
        (radha,) = await stage.people("Radha")
        owner.mute = True
        with pytest.raises(AnsweredError) as refused:
            await radha.say("lobby", "hello?")
        assert refused.value.code == "unknown"
        late = await RawClient.connect(stage.address)
        with pytest.raises(AnsweredError) as refused:
            await late.hello("Late")
        assert refused.value.code == "unavailable"
        with pytest.raises(AnsweredError) as refused:
            await radha.ping()
        assert refused.value.code == "unknown"
        owner.mute = False
        assert await radha.say("lobby", "there you are") == 1


async def test_who_is_not_welcomed_in_a_moment_is_sent_a_sign_of_life(stage: Stage) -> None:
    """The kernel accepts connections for a frozen process, too: a client must tell it from a busy
    cluster before the owner has said anything.
    """
    stage.owner.mute = True
    new = await RawClient.connect(stage.address)
    hello = new.send("hello", name="New", id=os.urandom(16))
    await new.until(lambda: new.beats, within=0.5)
    stage.owner.mute = False
    assert (await hello)["t"] == "welcome"


async def test_while_the_owner_is_late_those_who_wait_are_shown_that_the_gateway_lives(
    stage: Stage,
) -> None:
    """A `beat` “also each second while an answer is late”: silence looks like a frozen process."""
    radha, idle = await stage.people("Radha", "Idle")
    stage.owner.mute = True
    said = radha.send("say", room="lobby", text="hello?", id=os.urandom(16))
    new = await RawClient.connect(stage.address)
    hello = new.send("hello", name="New", id=os.urandom(16))
    for waiting in (radha, new):
        await waiting.until(lambda: waiting.beats)  # noqa: B023
    stage.owner.mute = False
    assert ((await said)["t"], (await hello)["t"]) == ("ok", "welcome")
    assert idle.beats == 0


async def test_the_pings_of_one_turn_are_one_question(stage: Stage) -> None:
    """“A gateway asks once per turn for all pings of that turn.”"""
    (radha,) = await stage.people("Radha")
    answers = radha.send_all(*[{"t": "ping"}] * 50)
    assert [(await answer)["t"] for answer in answers] == ["pong"] * 50
    assert len({ask.no for ask in stage.owner.asks(frames.Ping)}) == 1  # repeated or not


async def test_an_answer_waits_until_the_stream_is_delivered_up_to_its_position(
    stage: Stage,
) -> None:
    """“Hence `pong` is a barrier.”"""
    owner = stage.owner
    radha, rita = await stage.people("Radha", "Rita")
    owner.lose = lambda position: True
    answer = radha.send("say", room="lobby", text="early", id=os.urandom(16))
    pong = await rita.send("ping")
    assert rita.texts()[: pong["seen_before"]] == ["early"]
    assert (await answer)["seq"] == 1


# --- ending -----------------------------------------------------------------------------------


async def test_frames_are_logged_at_debug_without_what_people_say() -> None:
    """“Frames only at DEBUG, as type, ref and size. Never message text, never a token.”"""
    async with staged(log_level="DEBUG") as stage:
        (rita,) = await stage.people("Rita")
        await rita.say("lobby", "nobody's business")
        laptop = await login(stage, "Rita")
        with pytest.raises(AnsweredError, match="small one"):
            await laptop.ask("register", id=os.urandom(16), password="open sesame")
        for wrong in (["open sesame"], {"open sesame": 1}, "open sesame" * 30):
            with pytest.raises(AnsweredError) as refused:
                await laptop.ask("register", id=os.urandom(16), password=wrong)
            assert "sesame" not in str(refused.value)
        output = stage.cluster.gateways[0].output()
        assert re.search(r"DEBUG \S+ what=frame conn=1 < say ref=\d+ size=\d+\n", output)
        assert re.search(r"DEBUG \S+ what=frame conn=1 > ok ref=\d+ size=\d+\n", output)
        assert re.search(r"DEBUG \S+ what=frame conn=2 < register ref=\d+ size=\d+\n", output)
        assert "business" not in output
        assert "sesame" not in output
        assert rita.welcome["token"] not in output


async def test_a_drained_gateway_says_moving_and_leaves_the_sessions(stage: Stage) -> None:
    """“Send Moving before closing”; a clean restart must not end sessions."""
    owner = stage.owner
    (rita,) = await stage.people("Rita")
    stage.cluster.gateways[0].signal(signal.SIGTERM)
    await rita.until(lambda: "moving" in [frame["t"] for frame in rita.seen])
    assert await rita.say("lobby", "still served") == 1
    await rita.closed()
    assert await stage.cluster.gateways[0].stop() == 0
    assert [ask.session for ask in owner.asks(wire.Lost)] == [1]
    assert not owner.asks(frames.Bye)
    assert owner.frames_of(wire.Draining)


async def test_after_a_stop_of_the_gateway_nobody_is_called_silent() -> None:
    """While it is frozen it hears nobody: that is not the clients' silence."""
    async with staged(beat_after=1, close_after=3) as stage:
        (rita,) = await stage.people("Rita")
        gateway = stage.cluster.gateways[0]
        gateway.freeze()
        pong = rita.send("ping")
        await passing(4)  # longer than silence may last
        gateway.thaw()
        assert (await pong)["t"] == "pong"
        assert not rita.is_closed


async def test_who_says_nothing_is_sent_beats_and_then_closed() -> None:
    """“Any byte counts as life”; a beat after some silence of the gateway's own."""
    async with staged(beat_after=1.5, close_after=7) as stage:
        silent, lively = await stage.people("Silent", "Lively")

        async def is_closed() -> bool:
            await lively.ping()
            return silent.is_closed

        await eventually(is_closed, within=15)
        assert silent.beats >= 1
        assert silent.seen[-1]["code"] == "timeout"
        assert not lively.is_closed


async def test_a_hello_whose_sender_gave_up_while_the_gateway_was_frozen_is_not_passed_on(
    stage: Stage,
) -> None:
    """It would take the session away from where its sender has it by now."""
    gateway = stage.cluster.gateways[0]
    gateway.freeze()
    gone = await RawClient.connect(stage.address)
    gone.send("hello", id=os.urandom(16), name="Gone")
    gone.abort()
    await passing(3.5)  # it counts as frozen when it has not had a turn for two seconds
    gateway.thaw()
    await stage.people("Radha")
    hellos = [ask.frame for ask in stage.owner.asks(frames.Hello)]
    assert {hello.name for hello in hellos if isinstance(hello, frames.Hello)} == {"Radha"}
