"""Local workers give the numbers that this process gives, to the last bit, and keep what they have built."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import cluster, datasets
from pipeline.cluster import connection, working
from pipeline.cluster.executor import Workers
from pipeline.cluster.job import code
from pipeline.config import RangeTestOptions
from pipeline.errors import InputError
from pipeline.evaluation import SWEEP, Candidate, Evaluation, Training, answers
from pipeline.training import Checkpoints, InProcess, executor_for

OPTIONS = RangeTestOptions(data="digits", model="cnn", epochs=1, workers=2)

COSINE = Candidate(scheme="cosine", initial_lr=0.05, optimizer="sgd", batch_size=50, params={})
SWEPT = COSINE.model_copy(update={"scheme": SWEEP, "initial_lr": 1e-3, "params": {"lr_max": 0.5}})
ASKED = [
    *Evaluation(COSINE, 1, seed=0, weights=True, test=True).spread(range(4), splits=1),
    Evaluation(SWEPT, 1, seed=0, validations=0),
    Evaluation(COSINE, 1, seed=4, split=1),
]


def same(one: Training, other: Training) -> bool:
    """Return whether two trainings are equal to the last bit, but for the time they took."""
    of_one, of_other = ([own.rates, own.losses, *(own.weights or ())] for own in (one, other))
    return all(map(np.array_equal, of_one, of_other)) and all(
        getattr(one, name) == getattr(other, name) for name in ("history", "test", "diverged", "examples")
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[InProcess, Path]:
    """Return an executor of this process, and the file with its data."""
    raw = datasets.load(**OPTIONS.source, limit=2**30, task="auto")
    splits = datasets.split(raw, OPTIONS.seed)
    path = tmp_path_factory.mktemp("prepared") / "data.npz"
    datasets.save(splits, path)
    return executor_for(OPTIONS, splits), path


@pytest.fixture(scope="module")
def workers(prepared: tuple[InProcess, Path]) -> Iterator[Workers]:
    """Return two workers of this machine."""
    executor, data = prepared
    yield cluster.workers_for(OPTIONS, cluster.job_for(OPTIONS, data, executor), print)
    connection.connected(OPTIONS, print).close()


def test_the_numbers_are_those_of_this_process(prepared: tuple[InProcess, Path], workers: Workers) -> None:
    """Scores, losses and weights are equal to the last bit, on whichever worker and in whatever order."""
    here, there = answers(prepared[0].ask, ASKED), answers(workers.ask, ASKED)
    assert all(map(same, here, there))
    assert [training.weights is not None for training in there] == [one.weights for one in ASKED]


def test_a_worker_builds_a_network_once(workers: Workers) -> None:
    """What was asked again found its network, its data and the program for each optimizer on the worker."""
    answers(workers.ask, [replace(one, seed=50 + one.seed) for one in ASKED[:4]])
    for networks, traces in workers._client.run(kept).values():
        assert networks == 1
        assert set(traces) == {1}


def kept() -> tuple[int, list[int]]:
    """Return how many networks a worker keeps, and how often each of their programs was traced."""
    from pipeline.cluster import working

    engines = [engine for executor in working._executors.values() for engine in executor._engines.values()]
    return len(working._executors), [engine.traces() for engine in engines]


def test_an_evaluation_is_taken_when_it_is_next_to_begin(workers: Workers) -> None:
    """Two workers have three evaluations at most: another command can train the others."""
    taken: list[int] = []

    def asked() -> Iterator[Evaluation]:
        for one in [*ASKED, *ASKED]:
            taken.append(one.seed)
            yield one

    for finished, _ in enumerate(workers.ask(asked()), start=1):
        assert len(taken) <= finished + 2
    assert len(taken) == 2 * len(ASKED)


def test_trainings_keep_their_state_on_this_machine(workers: Workers, tmp_path: Path) -> None:
    """So that another worker can go on from there."""
    asked = replace(ASKED[0], epochs=3, validations=3)
    (_,) = workers.ask([asked], checkpoints=Checkpoints(tmp_path, "context", 0.0, print))
    assert [file.name for file in tmp_path.iterdir()] == [f"context-{asked.digest}"]


def test_a_worker_tells_edited_code_from_what_it_has_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were edited since do not make it another version."""
    monkeypatch.syspath_prepend(tmp_path)
    file, options = tmp_path / "edited_network.py", OPTIONS.model_copy(update={"model": "edited_network:build"})
    file.write_text("def build(): ...", encoding="utf-8")
    before = working.loaded_code(options)
    file.write_text("def build(): pass", encoding="utf-8")
    assert working.loaded_code(options) == before
    assert code(options)["model"] != before["model"]


def test_without_dask_one_line_says_how_to_get_it(
    prepared: tuple[InProcess, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an extra."""
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    job = cluster.job_for(OPTIONS, prepared[1], prepared[0])
    with pytest.raises(InputError, match=r"received workers=2; accepted: them after pip install '\.\[scale\]'"):
        cluster.workers_for(OPTIONS, job, print)


def test_what_nobody_wants_any_more_ends(workers: Workers) -> None:
    """Leaving the loop ends what is at work: the next training need not wait for an hour of others."""
    for _ in workers.ask([ASKED[0], *(replace(one, epochs=5_000) for one in ASKED[1:4])]):
        break
    assert not workers._asked
    assert same(*answers(workers.ask, [ASKED[0]]), *answers(workers.ask, [ASKED[0]]))
