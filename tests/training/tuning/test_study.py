import math
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import time
from collections import Counter

import pytest

optuna = pytest.importorskip("optuna")

from eavctl.errors import DataError, NoSpaceError, UsageError  # noqa: E402
from eavctl.training.tuning import owners, storages  # noqa: E402
from eavctl.training.tuning.ranges import Choice, Fixed, Real, Whole  # noqa: E402
from eavctl.training.tuning.study import Best, Pruned, Study, Trial  # noqa: E402
from eavctl.training.tuning.trial_store import Plan, TrialStore  # noqa: E402

SPACE = {
    "lr": Real(1e-5, 1e-1, log=True),
    "units": Whole(1, 64),
    "bands": Choice((None, [1, 2], [4, 8])),
    "epochs": Fixed(3),
}
SEED = 7
# Children of a process without threads, which need not import again: a child of this process can wait for
# ever for a lock that one of its threads held.
CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload([__name__])


def hill(trial: Trial) -> float:
    """Best, 0, at a rate of 0.001, 32 units and the bands 4 and 8."""
    values = trial.values
    score = -((math.log10(values["lr"]) + 3) ** 2) - abs(values["units"] - 32) / 32
    score -= values["bands"] != [4, 8]
    for step in range(3):
        trial.report(step, score - 2 + step)
    return score


def run(storage, n_trials, objective=hill, *, name="study", seed=SEED) -> Best:
    return Study.open(str(storage), name, SPACE, n_trials, seed).run(objective, lambda done, total: None)


def counted(storage, name="study"):
    """What each finished attempt has, by its place."""
    attempts = TrialStore(str(storage), name).attempts()
    return {each.slot: (each.parameters, each.frozen.value) for each in attempts if each.is_finished}


# --- one process ------------------------------------------------------------------------------------------


def test_finds_a_better_place_than_random_draws_do(tmp_path):
    best = run(tmp_path / "study", 40)
    scores = {slot: score for slot, (_, score) in counted(tmp_path / "study").items() if score is not None}
    at_random = [score for slot, score in scores.items() if slot < 10]
    assert best.score == scores[best.number] == max(scores.values()) > max(at_random)
    assert best.values["bands"] == [4, 8]
    assert best.values["epochs"] == 3
    assert list(best.values) == list(SPACE)
    assert (best.n_trials, best.n_complete + best.n_pruned) == (40, 40)
    assert 0 < best.n_pruned < 40


def test_other_seeds_and_other_studies_draw_other_values(tmp_path):
    storage = tmp_path / "study"
    scores = {
        run(storage, 1).score,
        run(storage, 1, name="fold 1").score,
        run(tmp_path / "other", 1, seed=8).score,
    }
    assert len(scores) == 3


def test_more_trials_continue_where_fewer_ended(tmp_path):
    run(tmp_path / "study", 12)
    run(tmp_path / "study", 16)
    assert run(tmp_path / "study", 16, must_not_run) == run(tmp_path / "once", 16)
    assert run(tmp_path / "study", 12, must_not_run) == run(tmp_path / "fewer", 12)


def must_not_run(trial):
    raise AssertionError("a finished trial is run again")


def test_of_equal_scores_the_first_is_best(tmp_path):
    assert run(tmp_path / "study", 5, lambda trial: 0.5).number == 0


@pytest.mark.parametrize(("storage", "n_trials"), [("{}/study", 12), ("sqlite:///{}/study.db", 6)])
def test_in_any_storage_an_interrupted_run_ends_as_one_that_was_not(tmp_path, storage, n_trials):
    storage, n_calls, n_interrupts, best = storage.format(tmp_path), 0, 0, None

    def often_interrupted(trial):
        nonlocal n_calls
        n_calls += 1
        if n_calls % (n_trials // 3) == 0:
            raise KeyboardInterrupt
        return hill(trial)

    while best is None:
        try:
            best = run(storage, n_trials, often_interrupted)
        except KeyboardInterrupt:
            n_interrupts += 1
    assert n_interrupts >= 3
    assert best == run(tmp_path / "straight", n_trials)
    assert counted(storage) == counted(tmp_path / "straight")


def test_a_failing_objective_ends_the_run_and_its_trial_is_run_again(tmp_path):
    def fails(trial):
        raise DataError("too few rows")

    with pytest.raises(DataError, match="too few rows"):
        run(tmp_path / "study", 3, fails)
    assert run(tmp_path / "study", 3) == run(tmp_path / "other", 3)


def test_trials_that_cannot_be_scored_are_pruned_with_a_reason(tmp_path):
    def at_odd_places_only(trial):
        if trial.values["units"] % 2:
            return hill(trial)
        raise Pruned("an even number")

    assert run(tmp_path / "study", 6, at_odd_places_only).values["units"] % 2 == 1

    def never(trial):
        raise Pruned("an even number")

    with pytest.raises(DataError, match="an even number"):
        run(tmp_path / "other", 3, never)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_must_be_finite(tmp_path, value):
    with pytest.raises(DataError):
        run(tmp_path / "study", 3, lambda trial: value)
    with pytest.raises(DataError):
        run(tmp_path / "study", 3, lambda trial: trial.report(0, value))
    assert counted(tmp_path / "study") == {}


def test_progress_counts_to_the_end(tmp_path):
    told = []
    Study.open(str(tmp_path / "study"), "study", SPACE, 4, SEED).run(
        hill, lambda done, total: told.append((done, total))
    )
    assert told == [(done, 4) for done in range(5)]


def test_nothing_to_choose_and_no_trials_are_wrong_usage(tmp_path):
    with pytest.raises(UsageError):
        Study.open(str(tmp_path / "study"), "study", {"lr": Fixed(1)}, 3, SEED)
    with pytest.raises(UsageError):
        Study.open(str(tmp_path / "study"), "study", SPACE, 0, SEED)


def test_optuna_opens_it_with_readable_names(tmp_path, capfd):
    run(tmp_path / "study", 3)
    assert capfd.readouterr() == ("", "")
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "study"))
    study = optuna.load_study(study_name="study", storage=optuna.storages.JournalStorage(backend))
    assert study.best_value == run(tmp_path / "study", 3).score
    assert set(study.best_params) == {"lr", "units", "bands"}
    assert study.user_attrs["range lr"] == "log:1e-05..0.1"
    assert study.trials[0].user_attrs["owner"]["pid"] == os.getpid()


# --- several processes, and killed ones -------------------------------------------------------------------


def slow_hill(trial: Trial) -> float:
    time.sleep(0.02)
    return hill(trial)


def worker(storage, n_trials, at_once=None):
    if at_once:
        at_once.wait()
    run(storage, n_trials, slow_hill)


def started(storage, n_trials, at_once=None):
    process = CHILDREN.Process(target=worker, args=(str(storage), n_trials, at_once))
    process.start()
    return process


def test_twenty_kills_lose_no_trial_and_count_none_twice(tmp_path):
    storage, n_trials, chance = tmp_path / "study", 40, random.Random(3)
    workers = [started(storage, n_trials) for _ in range(3)]
    for _ in range(20):
        time.sleep(chance.uniform(0.005, 0.04))
        position = chance.randrange(3)
        workers[position].kill()
        workers[position].join()
        workers[position] = started(storage, n_trials)
    for each in workers:
        each.join()
        assert each.exitcode == 0

    best = run(storage, n_trials, must_not_run)
    attempts = TrialStore(str(storage), "study").attempts()
    finished = [each for each in attempts if each.is_finished]
    assert Counter(each.slot for each in finished) == Counter(range(n_trials))
    assert best.n_trials == n_trials
    killed = [each for each in attempts if each.has_failed]
    assert killed  # some of the kills hit a running trial
    assert len(killed) + n_trials == len(attempts)
    for each in killed:  # the first attempt's settings are run again
        first = next(other for other in attempts if other.slot == each.slot)
        last = next(other for other in finished if other.slot == each.slot)
        assert last.parameters == first.parameters


def test_one_process_that_is_killed_again_and_again_draws_as_one_that_is_not(tmp_path):
    chance = random.Random(4)
    for _ in range(6):
        process = started(tmp_path / "study", 15)
        time.sleep(chance.uniform(0.02, 0.15))
        process.kill()
        process.join()
    assert run(tmp_path / "study", 15) == run(tmp_path / "other", 15)
    assert counted(tmp_path / "study") == counted(tmp_path / "other")


@pytest.mark.parametrize("storage", ["{}/study", "sqlite:///{}/study.db"])
def test_processes_that_start_at_once_share_the_trials(tmp_path, storage):
    location = storage.format(tmp_path)
    at_once = CHILDREN.Barrier(3)
    workers = [started(location, 12, at_once) for _ in range(3)]
    for each in workers:
        each.join()
        assert each.exitcode == 0
    attempts = TrialStore(location, "study").attempts()
    finished = [each for each in attempts if each.is_finished]
    assert sorted(each.slot for each in finished) == list(range(12))
    assert len({each.owner["pid"] for each in finished}) > 1
    assert len({each.parameters["lr"] for each in finished}) == 12


def test_a_process_on_another_machine_is_taken_for_dead_after_a_long_silence(tmp_path, monkeypatch):
    store = TrialStore(str(tmp_path / "study"), "study")
    with owners.owned() as owner:
        pass
    elsewhere = owner | {"system": "another", "host": "another"}
    attempt = store.start(
        Plan(0, {"x": 0.5}, {"x": optuna.distributions.FloatDistribution(0, 1)}, elsewhere), []
    )
    assert [each.is_running for each in store.attempts()] == [True]
    later = time.time() + owners.SILENT_S + 10
    monkeypatch.setattr(time, "time", lambda: later)
    store.beat(attempt)
    assert [each.is_running for each in store.attempts()] == [True]
    later += owners.SILENT_S + 10
    assert [each.has_failed for each in store.attempts()] == [True]


def test_a_result_that_comes_after_the_trial_was_given_away_does_not_count(tmp_path):
    storage = str(tmp_path / "study")

    def taken_away(trial):
        if not counted(storage):
            store = TrialStore(storage, "study")
            for each in store.attempts():
                if each.slot == 0 and each.is_running and each.number == 0:
                    store.fail(each)
        return hill(trial)

    best = run(storage, 2, taken_away)
    assert best == run(tmp_path / "other", 2)
    assert [each.slot for each in TrialStore(storage, "study").attempts()] == [0, 0, 1]


def test_owners_that_have_ended_are_recognised():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with owners.owned() as mine:
        theirs = mine | {"pid": process.pid, "start": owners._start(process.pid)}
        assert not owners.is_gone(mine, last_seen=0)
        assert not owners.is_gone(theirs, last_seen=0)
        assert owners.is_gone(theirs | {"start": 0}, last_seen=time.time())  # the number is used again
        process.kill()
        while not owners.is_gone(theirs, last_seen=time.time()):
            time.sleep(0.001)  # the kernel needs a moment
        process.wait()
        assert owners.is_gone(theirs, last_seen=time.time())
    assert owners.is_gone(mine, last_seen=time.time())  # this process lives, but has left the trial


# --- storages ---------------------------------------------------------------------------------------------


def test_a_line_that_was_cut_by_a_kill_is_removed(tmp_path):
    storage = tmp_path / "study"
    run(storage, 3)
    whole = storage.read_bytes()
    storage.write_bytes(whole + b'{"op_code":4,"worker_id":"half a li')
    assert run(storage, 5) == run(tmp_path / "other", 5)
    assert storage.read_bytes().startswith(whole + b'{"op_code"')
    assert b"half" not in storage.read_bytes()


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"some words", b"\x80\x04\x95", b"[1]\n", b"{}\n"])
def test_other_files_are_refused_and_left_as_they_are(tmp_path, content):
    storage = tmp_path / "notes.txt"
    storage.write_bytes(content)
    with pytest.raises(DataError, match="notes.txt"):
        run(storage, 3)
    assert storage.read_bytes() == content


@pytest.mark.parametrize(
    "junk", [b"junk\n", b'{"op_code":99}\n', b'{"op_code":5}\n', b"{}\n", b"[]\n", b"\xff\xfe\n", b"\n"]
)
def test_a_damaged_journal_is_an_error_that_names_it(tmp_path, junk):
    storage = tmp_path / "study"
    run(storage, 2)
    first, _, rest = storage.read_bytes().partition(b"\n")
    storage.write_bytes(first + b"\n" + junk + rest)
    with pytest.raises(DataError, match="study"):
        run(storage, 3)


@pytest.mark.parametrize(
    ("storage", "error"),
    [
        ("{}/none/study", DataError),
        ("{}", DataError),
        ("sqlite:///{}/none/study.db", DataError),
        ("sqlite:///{}/notes.txt", DataError),
        ("-", UsageError),
        ("/dev/null", UsageError),
        ("nosuch://study", UsageError),
        ("sqlite://", UsageError),
        ("sqlite:///:memory:", UsageError),
        ("http://a b:c", UsageError),
        ("postgresql+nosuch://me:secret@host/db", UsageError),
    ],
)
def test_storages_that_cannot_be_opened_are_errors_without_the_password(tmp_path, storage, error):
    (tmp_path / "notes.txt").write_bytes(b"not a database" * 100)
    with pytest.raises(error) as found:
        run(storage.format(tmp_path), 3)
    assert "secret" not in str(found.value)
    assert "\n" not in str(found.value)


def test_a_full_disk_is_an_error_and_the_study_goes_on_when_there_is_space(tmp_path):
    storage = tmp_path / "study"
    run(storage, 3)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (storage.stat().st_size + 500, limits[1]))  # amid a line
    try:
        with pytest.raises(NoSpaceError, match="study"):
            run(storage, 6)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert run(storage, 6) == run(tmp_path / "other", 6)


def test_a_check_writes_nothing(tmp_path):
    for storage in (f"{tmp_path}/study", f"sqlite:///{tmp_path}/study.db"):
        storages.check(storage)
    for storage in (f"{tmp_path}/none/study", f"sqlite:///{tmp_path}/none/study.db"):
        with pytest.raises(DataError):
            storages.check(storage)
    assert list(tmp_path.iterdir()) == []


def test_passwords_are_not_shown():
    assert "secret" not in storages.shown("postgresql://me:secret@host/db")
    assert "me" in storages.shown("postgresql://me:secret@host/db")
    assert "secret" not in storages.shown("postgresql://me:secret@host:port/db")
