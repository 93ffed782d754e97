"""“Acknowledged means stored, on disk, before the ok”: also when the power is cut."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from pathlib import Path
from random import Random

import pytest

from tests.native import RawClient
from tests.power import moments, recording
from tests.power.crash import Cut, Disk, Loss
from tests.power.promises import Kept, faults_of_data, faults_of_logs
from tests.power.recording import Recording, Sync, Write
from tests.power.talk import HALL, SETTINGS, Talk
from tests.power.trial import Recorded, Verdict, record, summary, try_cuts, unlike, write
from tests.support import Cluster
from worker.active import KEY_FILE
from worker.version import DATABASE

CUTS = 200
SEED = 4
RECOVERY_CUTS = 4  # and as many at random, of each of three recoveries


@pytest.fixture(scope="module")
def run() -> Recorded:
    """One recorded run of a real cluster."""
    try:
        return asyncio.run(record(SEED))
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def cuts(run: Recorded) -> list[Cut]:
    """Where it is cut."""
    return moments.choose(run.recording, run.talk, CUTS, SEED)


def test_the_recording_tells_all_that_was_done_to_the_directory(run: Recorded) -> None:
    assert not unlike(run)
    assert not run.troubles


def test_the_run_holds_everything_that_a_power_cut_can_meet(run: Recorded) -> None:
    spans = moments.spans_of(run.recording, run.talk)
    periods = [span for kind in ("restart", "kill", "stop") for span in spans[kind]]
    while_talking = [
        (begin, end)
        for begin, end in spans["checkpoint"]
        if not any(first <= begin <= last for first, last in periods)
    ]
    assert len(while_talking) >= 2
    assert len(spans["checkpoint"]) >= len(while_talking) + 2  # at the restart and after the kill
    assert len(spans["commit"]) > 80
    assert {"say", "edit", "delete", "read", "join"} < {each.op for each in run.talk.promises}


def test_after_200_power_cuts_everything_acknowledged_is_there(
    run: Recorded, cuts: list[Cut]
) -> None:
    verdict = try_cuts(run.recording, run.talk, cuts)
    if verdict.faults:
        pytest.fail("\n".join(summary(run, verdict)), pytrace=False)
    assert verdict.cuts.total() == CUTS
    assert set(verdict.cuts) > {"answer", "commit", "checkpoint", "restart", "kill"}


async def test_a_worker_starts_after_a_power_cut_and_another_one_while_it_recovers_does_no_harm(
    run: Recorded, cuts: list[Cut], tmp_path: Path
) -> None:
    """It shows a client all that was acknowledged; and what it does is recorded and cut, too."""
    library = recording.build(tmp_path)
    for why in ("checkpoint", "kill", "answer"):
        cut = [each for each in cuts if each.why == why][-1]
        cut = cut._replace(loss=Loss.SECTORS, names=Loss.WRITES)
        files = {name: bytes(data) for name, data in Disk(run.recording).after(cut).items()}
        into = tmp_path / why
        into.mkdir()
        talk = run.talk.until(cut.at)
        faults = await _faults_of_cluster(files, talk, library, into)
        assert not faults, (cut, faults[:10])
        again = recording.read(into, files)
        verdict = try_cuts(again, talk, _cuts_of_recovery(again, cut.seed))
        if verdict.faults:
            pytest.fail("\n".join(summary(run, verdict)), pytrace=False)


async def _faults_of_cluster(
    files: dict[str, bytes], talk: Talk, library: Path, into: Path
) -> list[str]:
    cluster = Cluster(brokers=1, gateways=1, workers=1, **SETTINGS)
    try:
        cluster.data.mkdir(mode=0o700)
        write(files, cluster.data)
        for worker in cluster.workers:
            worker.environ.update(recording.environment(library, cluster.data, into))
        await cluster.start()
        client = await RawClient.open(cluster.address(), "reader")
        await client.join(HALL)
        kept = Kept(client.welcome["epoch"], {}, {HALL: await client.log(HALL)})
        await client.close()
        await cluster.stop()
    finally:
        cluster.kill()
        cluster.remove()
    made = [each for each in talk.promises if each.room == HALL]
    return [*faults_of_logs(kept, talk, made, math.inf), *cluster.troubles()]


def _cuts_of_recovery(again: Recording, seed: int) -> list[Cut]:
    """A cut at each sync, just before it returns, and at as many moments at random."""
    random = Random(seed)
    first, last = again.acts[0].began, again.acts[-1].ended
    ats = [act.ended - 1e-6 for act in again.acts if isinstance(act, Sync)][:RECOVERY_CUTS]
    ats += [random.uniform(first, last) for _ in ats]
    losses = list(Loss)
    return [
        Cut(at, random.choice(losses), random.choice(losses), random.randrange(2**32), "recovery")
        for at in sorted(ats)
    ]


# --- that it would be noticed ---------------------------------------------------------------------


def _after_answers(run: Recorded, talk: Talk) -> list[Cut]:
    """Cuts in which only what was synced is left, just after answers."""
    cuts = moments.choose(run.recording, talk, CUTS, SEED)
    return [each._replace(loss=Loss.ALL) for each in cuts if each.why == "answer"][::4]


def _is_lost(verdict: Verdict) -> bool:
    return any(fault.startswith("lost: ") for _, faults in verdict.faults for fault in faults)


def test_a_disk_that_lies_about_syncs_is_found_out(run: Recorded, cuts: list[Cut]) -> None:
    losing = [cut for cut in cuts if cut.loss is not Loss.NONE][::10]
    verdict = try_cuts(run.recording, run.talk, losing, honours_sync=False)
    assert len(verdict.faults) > len(losing) // 2
    assert _is_lost(verdict)


def test_an_answer_before_the_commit_is_found_out(run: Recorded) -> None:
    talk = moments.answered_before(run.talk, moments.commits(run.recording))
    assert _is_lost(try_cuts(run.recording, talk, _after_answers(run, talk)))


def test_a_page_that_was_not_recorded_is_found_out(run: Recorded) -> None:
    writes = [act for act in run.recording.acts if isinstance(act, Write)]
    last = [act for act in writes if run.recording.names[act.file] == DATABASE][-1]
    page = last.file, last.offset
    acts = [a for a in run.recording.acts if not isinstance(a, Write) or (a.file, a.offset) != page]
    assert unlike(run._replace(recording=run.recording._replace(acts=acts))) == [
        f"{DATABASE} is not as recorded"
    ]


IN_HALL = "room = (SELECT id FROM rooms WHERE name = 'hall')"
DAMAGES = {
    "DELETE FROM events WHERE seq > 50": "lost: say",
    f"DELETE FROM events WHERE {IN_HALL} AND seq = 9": "hall: its numbers are not 1, 2, 3",
    "UPDATE events SET body = CAST(replace(body, 'ann 1', 'ann X') AS BLOB)": "altered: say",
    "UPDATE events SET body = CAST(replace(body, 'edited', 'edibed') AS BLOB)": "altered: edit",
    "UPDATE events SET body = x'c1' WHERE seq = 3": "hall: 3 is there, and cannot be read",
    "DELETE FROM done": "lost: the key of say",
    "DELETE FROM members": "lost: join",
    "DELETE FROM accounts": "lost: the account",
    "DELETE FROM sessions": "lost: session",
    "UPDATE marks SET seq = 1": "lost: read",
    "UPDATE numbers SET epoch = epoch + 1": "the numbering was begun anew",
    "UPDATE leases SET term = 0": "the numbering was begun anew",
    "DROP TABLE marks": "it cannot be opened",
    "DELETE FROM words_data WHERE id > 10": "the search's index",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_a_database_lacks_is_named(damage: str, run: Recorded, tmp_path: Path) -> None:
    write(run.found, tmp_path)
    assert not faults_of_data(tmp_path, run.talk, math.inf)
    database = sqlite3.connect(tmp_path / DATABASE, isolation_level=None)
    database.create_function("replace", 3, _replaced)
    database.execute(damage)
    database.close()
    faults = faults_of_data(tmp_path, run.talk, math.inf)
    assert any(fault.startswith(DAMAGES[damage]) for fault in faults), faults[:10]


def _replaced(body: bytes, old: str, new: str) -> bytes:
    return body.replace(old.encode(), new.encode())


def test_a_damaged_page_and_an_empty_key_are_named(run: Recorded, tmp_path: Path) -> None:
    write(run.found, tmp_path)
    with (tmp_path / DATABASE).open("r+b") as file:
        file.seek(4096 * 40)
        file.write(bytes(4096 * 4))
    (tmp_path / KEY_FILE).write_text("\n")
    faults = faults_of_data(tmp_path, run.talk, math.inf)
    assert any("integrity_check" in fault or "malformed" in fault for fault in faults), faults[:10]
    assert any("holds no key" in fault for fault in faults)
