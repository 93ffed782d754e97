"""“A restart of everything keeps rooms, history and the sessions that resume.”"""

from __future__ import annotations

import pytest

from tests.fixtures import ClusterFactory
from tests.native import AnsweredError, RawClient


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_a_restart_keeps_rooms_history_and_sessions(
    make_cluster: ClusterFactory, how: str
) -> None:
    cluster = await make_cluster(gateways=2, workers=2)
    a = await RawClient.open(cluster.address(0), "Radha")
    b = await RawClient.open(cluster.address(1), "Rita")
    for client in (a, b):
        await client.join("lobby")
        await client.join("kitchen")
    for number in range(50):
        await a.say("lobby", f"line {number}")
    await b.say("kitchen", "At 5pm")
    await b.ping()
    told = await b.log("lobby")

    if how == "stopped":
        await cluster.stop()
    else:
        for process in cluster.processes:
            process.kill()
    await cluster.start()

    again = await a.resume(cluster.address(1), lobby=50, kitchen=0)
    assert again.welcome["session"] == a.welcome["session"]
    assert again.welcome["sender"] == a.welcome["sender"]
    assert again.welcome["name"] == "Radha"
    assert again.welcome["epoch"] == a.welcome["epoch"]
    heads = {state["room"]: state.get("head", 0) for state in again.welcome["rooms"]}
    assert heads == {"lobby": 50, "kitchen": 1}
    assert await again.log("lobby") == told
    assert [event["text"] for event in await again.log("kitchen")] == ["At 5pm"]
    rooms = await again.ask("rooms")
    assert {room["room"] for room in rooms["rooms"]} == {"lobby", "kitchen"}
    with pytest.raises(AnsweredError) as refused:
        await RawClient.open(cluster.address(0), "rita")
    assert refused.value.code == "name_taken"
    late = await b.resume(cluster.address(0), lobby=50, kitchen=1)
    assert await again.say("lobby", "back") == 51
    await late.until_text("back")
    again.abort()
    late.abort()
