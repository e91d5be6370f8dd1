"""The confirmation: finalists and baselines at the full budget on fresh seeds, compared in pairs.

All candidates get the same seeds, in batches. One that is beaten is trained no further, and nobody is once a single one
may be the best, or all that may be are equivalent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from pipeline import statistics
from pipeline.evaluation import Candidate, Evaluation
from pipeline.objective import VAL_LOSS, Objective
from pipeline.results import Baseline, Basin, Interval, LeaderboardRow
from pipeline.schedules import SCHEMES, Array
from pipeline.search.choice import Evidence, choose, explain, measure_basins, measure_noise
from pipeline.search.plan import Evaluate, Outcome, Trial

BASELINES = {"Adam at 0.001": ("adam", 0.001), "SGD at 0.01": ("sgd", 0.01)}
"""What people use without a search: Keras' default rate of each optimizer, kept constant."""

Candidates = Mapping[str, Evaluation]
Outcomes = Mapping[str, Sequence[Outcome]]
"""The outcomes of each candidate, one per seed, in the order of the seeds."""


@dataclass(frozen=True)
class Confirmation:
    """The result of the confirmation.

    Attributes:
        winner: the name of the finalist to train with.
        ties: the names of the other finalists that may be as good.
        reason: why the winner was chosen.
        rows: the leaderboard row of each candidate.
        baselines: the winner's gain over each baseline.
        outcomes: every training at the full budget.

    """

    winner: str
    ties: tuple[str, ...]
    reason: str
    rows: dict[str, LeaderboardRow]
    baselines: tuple[Baseline, ...]
    outcomes: Outcomes


def choose_finalists(trials: Sequence[Trial], top_k: int) -> list[Evaluation]:
    """Return the best trials of the `top_k` best combinations of scheme, optimizer and batch size.

    A trial at a higher budget goes before one at a lower budget. At least one is returned, even if all diverged.
    """
    best: dict[tuple[str, int, str], Trial] = {}
    for trial in sorted(trials, key=_order):
        asked = trial.evaluation.candidate
        best.setdefault((asked.optimizer, asked.batch_size, asked.scheme), trial)
    finalists = [trial.evaluation for trial in best.values() if trial.outcome.loss < inf]
    return finalists[:top_k] or [next(iter(best.values())).evaluation]


def _order(trial: Trial) -> tuple[bool, float, float, int, int]:
    loss, asked = trial.outcome.loss, trial.evaluation
    return (
        loss == inf,
        -asked.epochs if loss < inf else 0.0,
        loss,
        SCHEMES[asked.candidate.scheme].complexity,
        trial.number,
    )


def baselines(batch_size: int) -> dict[str, Evaluation]:
    """Return the constant-rate baselines by name; their budget and seed are set when they are trained."""
    return {
        name: Evaluation(_constant(optimizer, rate, batch_size), epochs=1, seed=0)
        for name, (optimizer, rate) in BASELINES.items()
    }


def _constant(optimizer: str, rate: float, batch_size: int) -> Candidate:
    return Candidate(scheme="constant", initial_lr=rate, optimizer=optimizer, batch_size=batch_size, params={})


def confirm(
    finalists: Candidates,
    baselines: Candidates,
    evaluate: Evaluate,
    *,
    seeds: Sequence[int],
    epochs: float,
    trials: Sequence[Trial],
    objective: Objective = VAL_LOSS,
    preference: Mapping[str, float] | None = None,
    resolution: float = 0.0,
    tolerance: float = 0.0,
) -> Confirmation:
    """Compare candidates in full trainings, and choose the finalist to train with.

    Args:
        finalists: by name, at the budget and seed of trials, at which their basins are measured.
        baselines: by name.
        evaluate: trains.
        seeds: seeds that no trial has used; fewer are used where the result is clear.
        epochs: the full budget.
        trials: all trials; those of a finalist at other rates are used for its basin.
        objective: what the losses stand for.
        preference: the expected loss of each finalist by name; the lowest decides between ties. Without it their basins
            do.
        resolution: the step in which accuracies move, 1 / n on n validation examples.
        tolerance: the share of the best loss within which ties are equivalent.

    """
    candidates = {**finalists, **baselines}
    step = resolution if objective.is_accuracy else 0.0
    outcomes = train_on_seeds(candidates, evaluate, seeds, epochs, resolution=step, tolerance=tolerance)
    losses = losses_of(outcomes)
    found = statistics.verdicts(losses, statistics.looks(len(seeds)), resolution=step, tolerance=tolerance)
    noise = measure_noise(finalists.values(), evaluate)
    basins = measure_basins(finalists, trials, evaluate, noise, objective)
    evidence = Evidence(finalists, losses, found, basins, objective, tuple(baselines), preference)
    chosen = choose(evidence)
    # Any finalist that may be the best could have been chosen on these seeds, so each is compared with each baseline.
    sides = 2 * max(len(evidence.tied), 1) * len(baselines)
    rows = {
        name: _row(candidate, outcomes[name], found.rows[name], seeds, basins.get(name), objective)
        for name, candidate in candidates.items()
    }
    return Confirmation(
        winner=chosen,
        ties=tuple(name for name in evidence.tied if name != chosen),
        reason=explain(evidence, chosen),
        rows=rows,
        baselines=tuple(_against(name, chosen, rows[name], outcomes, found, sides, resolution) for name in baselines),
        outcomes=outcomes,
    )


def train_on_seeds(
    candidates: Candidates,
    evaluate: Evaluate,
    seeds: Sequence[int],
    epochs: float,
    level: float = 0.95,
    *,
    resolution: float = 0.0,
    tolerance: float = 0.0,
) -> dict[str, list[Outcome]]:
    """Train all on the same seeds, look by look, each until it is beaten or diverges, or the verdict is clear.

    Where what beat a candidate diverges later, the candidate catches up. `resolution` and `tolerance` are those of
    `statistics.verdicts`.
    """
    outcomes: dict[str, list[Outcome]] = {name: [] for name in candidates}
    schedule = statistics.looks(len(seeds))
    running, decided = tuple(candidates), False
    for look in schedule:
        while not decided and (behind := [name for name in running if len(outcomes[name]) < look]):
            asked = [
                (name, replace(candidates[name], epochs=epochs, seed=seed))
                for name in behind
                for seed in seeds[len(outcomes[name]) : look]
            ]
            for (name, _), outcome in zip(asked, evaluate([evaluation for _, evaluation in asked]), strict=True):
                outcomes[name].append(outcome)
            found = statistics.verdicts(
                losses_of(outcomes), schedule, level, resolution=resolution, tolerance=tolerance
            )
            running, decided = found.still_in, found.decided
    return outcomes


def _row(
    candidate: Evaluation,
    outcomes: Sequence[Outcome],
    compared: statistics.Comparison,
    seeds: Sequence[int],
    basin: Basin | None,
    objective: Objective,
) -> LeaderboardRow:
    return LeaderboardRow(
        **candidate.candidate.model_dump(),
        objective=in_its_sign(statistics.mean_interval([outcome.loss for outcome in outcomes]), objective),
        val_loss=statistics.mean_interval([outcome.val_loss for outcome in outcomes]),
        val_accuracy=_mean_accuracy(outcomes),
        difference=compared.behind,
        seeds=tuple(seeds[: len(outcomes)]),
        verdict=compared.verdict,
        basin=basin,
    )


def _against(
    name: str,
    chosen: str,
    row: LeaderboardRow,
    outcomes: Outcomes,
    found: statistics.Verdicts,
    sides: int,
    resolution: float,
) -> Baseline:
    """Compare the chosen finalist with a baseline in the objective and in accuracy; gains are positive if it is better.

    The error is shared among as many `sides` of intervals, and among at least as many as in the tests. So the interval
    includes zero unless one of the two beat the other. Where that took a later round, with a larger share, zero is the
    bound, since the round shows no more than that. If one diverged there was no test.
    """
    look = found.last_look(name, chosen)
    if look is None:
        seeds = min(len(outcomes[name]), len(outcomes[chosen]))
        theirs, ours = ([outcome.loss for outcome in outcomes[one][:seeds]] for one in (name, chosen))
        return Baseline(name=name, row=row, gain=statistics.paired_difference(theirs, ours), accuracy_gain=None)
    error = look.error / max(sides, statistics.share(len(outcomes)))
    gain = look.pairs.interval(name, chosen, error)
    if found.beats(chosen, name):
        gain = gain.model_copy(update={"low": max(gain.low, 0.0)})
    if found.beats(name, chosen):
        gain = gain.model_copy(update={"high": min(gain.high, 0.0)})
    accuracies = _accuracies(look, outcomes)
    accuracy = statistics.Pairs.of(accuracies, resolution).interval(chosen, name, error) if accuracies else None
    return Baseline(name=name, row=row, gain=gain, accuracy_gain=accuracy)


def _accuracies(look: statistics.Round, outcomes: Outcomes) -> dict[str, Array]:
    """Return the accuracies of all that a look compared, on the same seeds; empty if any is unknown."""
    found = {name: [o.val_accuracy for o in outcomes[name][: look.pairs.seeds]] for name in look.names}
    if any(value is None for values in found.values() for value in values):
        return {}
    return {name: np.array(values, np.float64) for name, values in found.items()}


def losses_of(outcomes: Outcomes) -> dict[str, list[float]]:
    """Return the losses of each candidate, one per seed."""
    return {name: [outcome.loss for outcome in group] for name, group in outcomes.items()}


def in_its_sign(interval: Interval, objective: Objective) -> Interval:
    """Turn an interval of losses into one of the objective itself."""
    low, high = sorted(objective.oriented(bound) for bound in (interval.low, interval.high))
    return interval.model_copy(update={"mean": objective.oriented(interval.mean), "low": low, "high": high})


def _mean_accuracy(outcomes: Sequence[Outcome]) -> float | None:
    values = [outcome.val_accuracy for outcome in outcomes if outcome.val_accuracy is not None]
    return sum(values) / len(values) if len(values) == len(outcomes) else None
