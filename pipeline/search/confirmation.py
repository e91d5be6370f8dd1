"""The confirmation: finalists and baselines at the full budget on fresh seeds, compared pair by pair.

Seeds come in batches, the same for all, until one candidate has beaten all others or the seeds are used up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf

from pipeline import statistics
from pipeline.evaluation import Candidate, Evaluation
from pipeline.objective import VAL_LOSS, Objective
from pipeline.results import Baseline, Basin, Interval, LeaderboardRow
from pipeline.schedules import SCHEMES
from pipeline.search.basins import measure_basins, measure_noise
from pipeline.search.choice import Evidence, choose, explain
from pipeline.search.plan import Evaluate, Outcome, Trial

BASELINES = {"Adam at 0.001": ("adam", 0.001), "SGD at 0.01": ("sgd", 0.01)}
"""What people use without a search: a constant rate, Keras' default of each optimizer."""

Candidates = Mapping[str, Evaluation]
Outcomes = Mapping[str, Sequence[Outcome]]
"""The outcomes of each candidate, one a seed, in the same order of seeds."""


@dataclass(frozen=True)
class Confirmation:
    """What the confirmation found.

    `winner` is the finalist to train with and `ties` the other finalists that may be just as good, by name; `reason`
    says why. `rows` holds a line of the leaderboard for each candidate, `baselines` what the winner is worth against
    each of them, and `outcomes` every training at the full budget.
    """

    winner: str
    ties: tuple[str, ...]
    reason: str
    rows: dict[str, LeaderboardRow]
    baselines: tuple[Baseline, ...]
    outcomes: Outcomes


def choose_finalists(trials: Sequence[Trial], top_k: int) -> list[Evaluation]:
    """The best trial of each of the `top_k` best schemes, with each optimizer and batch size.

    Those that came to a higher budget go before the others. At least one, even if all diverged.
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
    """Return the constant-rate baselines by name; budget and seed are set where they are trained."""
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
) -> Confirmation:
    """Compare candidates, by name, at a budget of `epochs` on `seeds` that no trial has seen.

    The finalists are evaluations of the search, at a budget and seed of its trials: their basins are measured at that,
    and `trials` of the same settings at other rates are made use of. `seeds` are the most that may be used.
    """
    candidates = {**finalists, **baselines}
    outcomes = train_on_seeds(candidates, evaluate, seeds, epochs)
    losses, schedule = losses_of(outcomes), statistics.looks(len(seeds))
    found = statistics.verdicts(losses, schedule)
    noise = measure_noise(finalists.values(), evaluate)
    basins = measure_basins(finalists, trials, evaluate, noise, objective)
    evidence = Evidence(finalists, losses, found, basins, objective)
    chosen = choose(evidence)
    # Any finalist that may be the best could have been chosen on these seeds: each is a comparison with each baseline.
    share = statistics.spent_at(len(losses[chosen]), schedule) / (max(len(evidence.tied), 1) * max(len(baselines), 1))
    rows = {
        name: _row(candidate, outcomes[name], found.rows[name], seeds, basins.get(name), objective)
        for name, candidate in candidates.items()
    }
    return Confirmation(
        winner=chosen,
        ties=tuple(name for name in evidence.tied if name != chosen),
        reason=explain(evidence, chosen),
        rows=rows,
        baselines=tuple(_against(name, rows[name], outcomes[name], outcomes[chosen], share) for name in baselines),
        outcomes=outcomes,
    )


def train_on_seeds(
    candidates: Candidates, evaluate: Evaluate, seeds: Sequence[int], epochs: float, level: float = 0.95
) -> dict[str, list[Outcome]]:
    """Train all on the same seeds, batch after batch, until at most one may be the best with this certainty."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in candidates}
    schedule = statistics.looks(len(seeds))
    for done, look in pairwise((0, *schedule)):
        asked = [
            (name, replace(one, epochs=epochs, seed=seed))
            for name, one in candidates.items()
            for seed in seeds[done:look]
        ]
        for (name, _), outcome in zip(asked, evaluate([evaluation for _, evaluation in asked]), strict=True):
            outcomes[name].append(outcome)
        if len(statistics.verdicts(losses_of(outcomes), schedule, level).still_in) < 2:
            break
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
    name: str, row: LeaderboardRow, baseline: Sequence[Outcome], winner: Sequence[Outcome], share: float
) -> Baseline:
    """What the winner is worth against a baseline, in the objective and in accuracy: positive where it is better."""
    ours, theirs = ([o.val_accuracy for o in side if o.val_accuracy is not None] for side in (winner, baseline))
    known = len(ours) == len(theirs) == len(winner)
    return Baseline(
        name=name,
        row=row,
        gain=statistics.paired_difference([o.loss for o in baseline], [o.loss for o in winner], share=share),
        accuracy_gain=statistics.paired_difference(ours, theirs, share=share) if known else None,
    )


def losses_of(outcomes: Outcomes) -> dict[str, list[float]]:
    """The losses of each candidate, one a seed."""
    return {name: [outcome.loss for outcome in group] for name, group in outcomes.items()}


def in_its_sign(interval: Interval, objective: Objective) -> Interval:
    """The interval of the objective itself, from that of the losses."""
    low, high = sorted(objective.oriented(bound) for bound in (interval.low, interval.high))
    return interval.model_copy(update={"mean": objective.oriented(interval.mean), "low": low, "high": high})


def _mean_accuracy(outcomes: Sequence[Outcome]) -> float | None:
    values = [outcome.val_accuracy for outcome in outcomes if outcome.val_accuracy is not None]
    return sum(values) / len(values) if len(values) == len(outcomes) else None
