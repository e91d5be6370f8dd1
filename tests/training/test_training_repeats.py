"""A training depends on its curve and seed alone, and nothing is traced twice."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.evaluation import Candidate, Evaluation, answers
from pipeline.optimizers import OPTIMIZERS
from pipeline.training import InProcess, Problem, Trainer, engine
from tests.training.networks import BATCH, STEPS, digest, digits, plain, trainer

ROOT = Path(__file__).parents[2]
SHORT = np.full(2 * STEPS, 0.01)
LONG = np.geomspace(0.1, 0.01, 10 * STEPS)
NETWORKS = ["rich", "noisy", "cnn"]
FRESH = """
import numpy as np
from tests.training.networks import digest, trainer
for network in {networks}:
    print(digest(trainer(network), trainer(network).train(np.array({curve}), 3, validations=2)))
"""


def outcome(trained: Trainer, curve: NDArray[np.float64], seed: int) -> str:
    """Return everything that a training leaves, as one digest."""
    return digest(trained, trained.train(curve, seed, validations=2))


def fresh() -> Trainer:
    """Return an engine that nothing was trained with."""
    return engine(plain, digits(), optimizer="sgd", momentum=0.9, batch_size=BATCH, precision="float32")


class TestDeterminism:
    @pytest.mark.parametrize("network", NETWORKS)
    def test_the_same_question_has_the_same_answer_after_others(self, network: str) -> None:
        """Bit for bit: losses, history, weights, statistics, dropout seeds and optimizer state."""
        engine = trainer(network)
        first = outcome(engine, SHORT, 3)
        outcome(engine, LONG, 4)
        engine.train(np.full(30, 1e8), 5, validations=0)
        assert outcome(engine, SHORT, 3) == first

    def test_seeds_differ_in_weights_and_in_order(self) -> None:
        """Another seed starts elsewhere; and with weights that never move, its batches still differ."""
        engine = trainer("rich")
        losses = [engine.train(np.zeros(STEPS), seed, validations=0).losses for seed in (3, 4)]
        assert not np.isclose(losses[0], losses[1], rtol=1e-4).any()
        # All weights of this one start as constants and stay there, so that its first loss depends on the batch alone.
        engine = trainer("constant")
        losses = [engine.train(np.zeros(STEPS), seed, validations=0).losses for seed in (3, 4)]
        assert not np.isclose(losses[0][:-1], losses[1][:-1], rtol=1e-6).any()

    def test_a_fresh_process_gives_the_same_answer(self) -> None:
        """Another process, with nothing trained before, gives the same bits."""
        code = FRESH.format(networks=NETWORKS, curve=SHORT.tolist())
        run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert run.stdout.split() == [outcome(trainer(network), SHORT, 3) for network in NETWORKS]

    def test_the_users_random_numbers_are_left_alone(self) -> None:
        """Python's and NumPy's global states are the same after building, training and copying as before."""
        random.seed(11)
        np.random.seed(12)
        executor = InProcess(Problem(plain, digits(), momentum=0.9, precision="float32"))
        candidate = Candidate(scheme="constant", initial_lr=0.01, optimizer="sgd", batch_size=BATCH, params={})
        [training] = answers(executor.ask, [Evaluation(candidate, 2, seed=3, test=True, weights=True)])
        executor.served(training)
        drawn = random.random(), np.random.random()
        assert drawn == (random.Random(11).random(), np.random.RandomState(12).random())


class TestReset:
    @pytest.mark.parametrize("optimizer", OPTIMIZERS)
    def test_optimizers_start_anew(self, optimizer: str) -> None:
        """Momenta, averages and the update count of one training do not reach the next."""
        engine = trainer("table", optimizer)
        first = digest(engine, engine.train(SHORT, 3, validations=0))
        engine.train(LONG / 100, 4, validations=0)
        assert int(engine.model.optimizer.iterations) == len(LONG)
        assert digest(engine, engine.train(SHORT, 3, validations=0)) == first
        assert int(engine.model.optimizer.iterations) == len(SHORT)

    def test_a_network_is_built_again_where_its_start_is_no_longer_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without room for more than one seed's initial state, seeds in turn give what they give with room for all."""
        engine = fresh()
        with_room = [outcome(engine, SHORT, seed) for seed in (3, 4, 3, 4)]
        monkeypatch.setattr("pipeline.training.network._CACHE_BYTES", 0)
        assert [outcome(engine, SHORT, seed) for seed in (5, 3, 4, 3, 4)][1:] == with_room


class TestTraces:
    def test_one_program_serves_every_training(self) -> None:
        """Lengths, seeds, validations, sweeps, early stops and evaluations all use the first trace."""
        engine = trainer("rich")
        for updates, validations in [(1, 0), (7, 1), (60, 2), (51, 0)]:
            engine.train(np.geomspace(1e-7, 1.0, updates), updates, validations=validations)
        engine.train(LONG, 3, validations=5, patience=1, keep_best=True, test=True, weights=True)
        assert engine.traces() == 1

    def test_the_count_counts(self) -> None:
        """A program made anew is traced anew, and that is seen."""
        engine = fresh()
        assert engine.traces() == 0
        engine.train(SHORT, 3, validations=0)
        engine.model.make_train_function(force=True)
        engine.train(SHORT, 3, validations=0)
        assert engine.traces() == 2
