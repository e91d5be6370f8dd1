"""The confirmation: finalists and baselines at the full budget, compared in pairs on fresh seeds.

All candidates get the same seeds, in batches, until the verdict is clear or no seeds are left. A beaten candidate gets
no more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, log10

from pipeline import statistics
from pipeline.evaluation import Evaluation
from pipeline.objective import VAL_LOSS
from pipeline.results import Baseline, Basin, Comparison, Interval, LeaderboardRow
from pipeline.search.candidates import same_setting
from pipeline.search.choice import Evidence, choose, explain
from pipeline.search.comparisons import Compared, unanswered
from pipeline.search.leaderboard import Outcomes, against, basin_of, in_its_sign, row_of
from pipeline.search.plan import Affords, Evaluate, Outcome, Plan, Trial, telling
from pipeline.search.surface import Cell, Surface

Candidates = Mapping[str, Evaluation]


@dataclass(frozen=True)
class Confirmation:
    """The result of the confirmation.

    Attributes:
        winner: the name of what to train with: a finalist, or a baseline if it beat them all.
        ties: the names of the other finalists that may be as good.
        reason: why the winner was chosen.
        rows: the leaderboard row of each candidate.
        basin: the rates around the winner's that are about as good.
        baselines: the winner's gain over each baseline.
        comparisons: what a decay and the search are worth.
        outcomes: every training of the confirmation.
        trials: those of settings that were searched, as further trials.

    """

    winner: str
    ties: tuple[str, ...]
    reason: str
    rows: dict[str, LeaderboardRow]
    basin: Basin
    baselines: tuple[Baseline, ...]
    comparisons: tuple[Comparison, ...]
    outcomes: Outcomes
    trials: Sequence[Trial] = ()


def baselines(plan: Plan) -> dict[str, Evaluation]:
    """Return what finalists are compared with, by name. Epochs and seed are placeholders, set when they are trained.

    The batch size is the first one given, which the user would have used.
    """
    batch_size = plan.spaces[0].batch_size
    return {one.name: Evaluation(one.candidate(batch_size), epochs=1, seed=0) for one in plan.opponents}


def certain(plan: Plan) -> list[Evaluation]:
    """Return the trainings that every confirmation begins with, whatever the trials find: the baselines' first ones."""
    if not plan.opponents:
        return []
    first, *_ = statistics.looks(len(plan.fresh_seeds))
    asked = [replace(one, epochs=plan.epochs).spread(plan.fresh_seeds, plan.splits) for one in baselines(plan).values()]
    return [evaluations[at] for at in range(first) for evaluations in asked]


def confirm(
    plan: Plan,
    finalists: Mapping[str, Cell],
    baselines: Candidates,
    trials: Sequence[Trial],
    evaluate: Evaluate,
    affords: Affords = lambda evaluations: True,
    lacking: str = "no budget or time was left",
) -> Confirmation:
    """Compare finalists and baselines in full trainings, and choose the finalist to train with.

    Args:
        plan: the plan of the search, which gives the seeds.
        finalists: by name.
        baselines: by name.
        trials: all trials.
        evaluate: runs the trainings.
        affords: whether the budget allows further trainings; if not even the first look, the trials decide.
        lacking: why nothing was compared, in that case.

    """
    asked = {name: Evaluation(cell.candidate, plan.epochs, plan.seed) for name, cell in finalists.items()}
    candidates = {**asked, **baselines}
    judged = {"resolution": plan.step, "tolerance": plan.tolerance}
    outcomes = train_on_seeds(
        candidates, evaluate, plan.fresh_seeds, plan.epochs, splits=plan.splits, affords=affords, **judged
    )
    if not outcomes:
        return _unconfirmed(plan, finalists, trials, lacking)
    losses = losses_of(outcomes)
    found = statistics.verdicts(losses, statistics.looks(len(plan.fresh_seeds)), **judged)
    reserves = {
        name: one for name, one in baselines.items() if any(same_setting(one.candidate, space) for space in plan.spaces)
    }
    confirmed = _as_trials(plan, {**asked, **reserves}, outcomes)
    everything, surface = [*trials, *confirmed], Surface.of([*telling(trials), *confirmed])
    expected = {name: surface.at(one.candidate).worst if surface else 0.0 for name, one in asked.items()}
    evidence = Evidence(losses, found, expected, plan.objective, tuple(reserves))
    chosen = choose(evidence)
    compared = Compared({name: one.candidate for name, one in candidates.items()}, chosen, evidence)
    # Any tied finalist could have been chosen on these seeds, so the error is shared by all their comparisons.
    sides = 2 * compared.pairs
    basins = {
        name: basin_of(surface, one.candidate, everything, plan.objective)
        for name, one in {**asked, chosen: candidates[chosen]}.items()
    }
    rows = {
        name: row_of(candidate, outcomes[name], found.rows[name], plan, basins.get(name))
        for name, candidate in candidates.items()
    }

    def gain(name: str, over: str) -> Baseline:
        return against(name, over, rows[name], outcomes, found, sides, plan.resolution)

    return Confirmation(
        winner=chosen,
        ties=tuple(name for name in evidence.tied if name != chosen),
        reason=explain(evidence, chosen, len(everything)),
        rows=rows,
        basin=basins[chosen],
        baselines=tuple(gain(name, chosen) for name in baselines if name != chosen),
        comparisons=compared.answered(gain, plan.schemes),
        outcomes=outcomes,
        trials=confirmed,
    )


def _unconfirmed(plan: Plan, finalists: Mapping[str, Cell], trials: Sequence[Trial], lacking: str) -> Confirmation:
    """Return the answer that the trials suggest: its loss is predicted by the surface, and compared with nothing."""
    name, cell = next(iter(finalists.items()))
    surface = Surface.of(telling(trials))
    basin = basin_of(surface, cell.candidate, trials, plan.objective)
    nearest = min(
        (trial for trial in trials if trial.evaluation.candidate.scheme == cell.candidate.scheme),
        key=lambda trial: abs(log10(trial.evaluation.candidate.initial_lr / cell.candidate.initial_lr)),
    )
    low, mean, high = (
        surface.loss(cell.mean + by * cell.deviation) if surface else inf for by in (-_PREDICTED, 0.0, _PREDICTED)
    )
    predicted = Interval(mean=mean, low=low, high=high)
    unknown = Interval(mean=nearest.outcome.val_loss, low=-inf, high=inf)
    row = LeaderboardRow(
        **cell.candidate.model_dump(),
        objective=in_its_sign(predicted, plan.objective),
        val_loss=predicted if plan.objective == VAL_LOSS else unknown,
        val_accuracy=nearest.outcome.val_accuracy,
        difference=Interval(mean=0.0, low=0.0, high=inf),
        seeds=(),
        verdict="tie",
        basin=basin,
    )
    why = lacking if plan.confirm_seeds else "the budget allows none"
    suggest = (
        f"{len(trials)} trainings suggest it, each on its own seed" if len(trials) > 1 else "one training suggests it"
    )
    reason = f"not compared: {why}; {suggest}"
    return Confirmation(name, (), reason, {name: row}, basin, (), unanswered("nothing was compared"), {})


_PREDICTED = 1.96
"""Standard deviations on each side of a predicted loss, for 95% of a normal distribution."""


def _as_trials(plan: Plan, asked: Candidates, outcomes: Outcomes) -> list[Trial]:
    """Return the trainings of the confirmation as further trials."""
    return [
        Trial(-1, evaluation, outcome)
        for name, one in asked.items()
        for evaluation, outcome in zip(one.spread(plan.fresh_seeds, plan.splits), outcomes[name], strict=False)
    ]


def train_on_seeds(
    candidates: Candidates,
    evaluate: Evaluate,
    seeds: Sequence[int],
    epochs: float,
    level: float = 0.95,
    *,
    splits: int = 1,
    resolution: float = 0.0,
    tolerance: float = 0.0,
    affords: Affords = lambda evaluations: True,
) -> dict[str, list[Outcome]]:
    """Train the candidates on the same seeds, look by look, until each is beaten or diverges, or the verdict is clear.

    If all that beat a candidate diverge later, it is back in and catches up. The seeds are spread over `splits` of the
    data, the same for all candidates. `resolution` and `tolerance` are those of `statistics.verdicts`.

    Returns:
        The outcomes of each candidate; empty if the budget does not allow even the first look.

    """
    outcomes: dict[str, list[Outcome]] = {name: [] for name in candidates}
    schedule = statistics.looks(len(seeds)) if seeds else ()
    running, decided = tuple(candidates), False
    for look in schedule:
        while not decided and (behind := [name for name in running if len(outcomes[name]) < look]):
            asked = [
                (name, replace(evaluation, epochs=epochs))
                for name in behind
                for evaluation in candidates[name].spread(seeds, splits)[len(outcomes[name]) : look]
            ]
            evaluations = [evaluation for _, evaluation in asked]
            if not affords(evaluations):
                return outcomes if all(outcomes.values()) else {}
            for (name, _), outcome in zip(asked, evaluate(evaluations), strict=True):
                outcomes[name].append(outcome)
            found = statistics.verdicts(
                losses_of(outcomes), schedule, level, resolution=resolution, tolerance=tolerance
            )
            running, decided = found.still_in, found.decided
    return outcomes if schedule else {}


def losses_of(outcomes: Outcomes) -> dict[str, list[float]]:
    """Return the losses of each candidate, one per seed."""
    return {name: [outcome.loss for outcome in group] for name, group in outcomes.items()}
