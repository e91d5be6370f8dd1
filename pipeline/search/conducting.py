"""The whole search, from a plan to an answer, and its transfer to other budgets and batch sizes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline import statistics
from pipeline.config import LARGEST_BATCH
from pipeline.evaluation import Ask, Candidate, Evaluation, answers
from pipeline.results import Cost, RateSuggestion, SearchResult, Transfer
from pipeline.search import confirmation
from pipeline.search.allocation import run_trials
from pipeline.search.audits import audit
from pipeline.search.confirmation import in_its_sign, losses_of, train_on_seeds
from pipeline.search.plan import Evaluate, Outcome, Plan, Trial


@dataclass
class _Ledger:
    """Asks, and adds up the cost: each evaluation once, for the part of the search that asked it first."""

    plan: Plan
    ask: Ask
    part: str = "trials"
    known: dict[str, tuple[str, Outcome]] = field(default_factory=dict)

    def __call__(self, evaluations: Sequence[Evaluation]) -> list[Outcome]:
        unknown = [evaluation for evaluation in evaluations if evaluation.digest not in self.known]
        for evaluation, training in zip(unknown, answers(self.ask, unknown), strict=True):
            self.known.setdefault(evaluation.digest, (self.part, Outcome.of(training, self.plan.objective)))
        return [self.known[evaluation.digest][1] for evaluation in evaluations]

    def cost(self, seconds: float) -> Cost:
        """Return the sum. Wall time is `seconds`, or more where an interrupted run did part of the work."""
        total = _sum([outcome for _, outcome in self.known.values()])
        return total.model_copy(update={"seconds": max(seconds, total.seconds)})

    def parts(self, plan: Plan, trials: int) -> dict[str, Cost]:
        """Return the cost of each part, of one training at the full budget, and of `trials` such trainings."""
        parts = dict.fromkeys(part for part, _ in self.known.values())
        spent = {part: _sum([outcome for asked, outcome in self.known.values() if asked == part]) for part in parts}
        measured = spent["confirmation"]
        one = _scaled(measured, plan.epochs / measured.epochs) if measured.epochs else measured
        return {**spent, "one training": one, "blind search": _scaled(one, trials)}


def _sum(outcomes: Sequence[Outcome]) -> Cost:
    return Cost(
        seconds=sum(outcome.seconds for outcome in outcomes),
        epochs=sum(outcome.epochs for outcome in outcomes),
        examples=sum(outcome.examples for outcome in outcomes),
    )


def _scaled(cost: Cost, by: float) -> Cost:
    return Cost(seconds=cost.seconds * by, epochs=cost.epochs * by, examples=round(cost.examples * by))


def conduct(plan: Plan, ask: Ask) -> tuple[SearchResult, list[Trial]]:
    """Search, and return the answer and all trainings of trials.

    What is asked depends on earlier answers only, neither on their order nor on the time they take.
    """
    started = time.perf_counter()
    ledger = _Ledger(plan, ask)
    studies = run_trials(plan, ledger)
    trials = sorted((trial for study in studies for trial in study.trials), key=lambda trial: trial.number)
    chosen = confirmation.choose_finalists(trials, plan.top_k)
    finalists = {plan.name(f.candidate, f.candidate.scheme): replace(f, epochs=plan.trial_epochs) for f in chosen}
    ledger.part, baselines = "confirmation", confirmation.baselines(plan.spaces[0].batch_size)
    found = confirmation.confirm(
        finalists,
        baselines,
        ledger,
        seeds=plan.fresh_seeds,
        epochs=plan.epochs,
        trials=trials,
        objective=plan.objective,
    )
    ledger.part, count = "audits", sum(study.length for study in studies)
    audits = audit(plan, trials, finalists, baselines, found.outcomes, ledger)
    ledger.part, winner = "transfer", finalists[found.winner].candidate
    rivals = finalists if len(finalists) > 1 else {**finalists, **baselines}
    moved = transfer(plan, found.winner, rivals, ledger) if plan.transfer else ()
    basin = found.rows[found.winner].basin
    assert basin is not None
    untried = tuple(study.name for study in studies if not study.length)
    result = SearchResult(
        objective=plan.objective,
        winner=winner,
        leaderboard=tuple(sorted(found.rows.values(), key=lambda row: plan.objective.oriented(row.objective.mean))),
        ties=found.ties,
        basin=basin,
        baselines=found.baselines,
        cost=ledger.cost(time.perf_counter() - started),
        reason="; ".join([found.reason, *_unknown(plan, untried)]),
        lr_low=min(study.bounds[0] for study in studies),
        lr_high=max(study.bounds[1] for study in studies),
        widened=tuple(widening for study in studies for widening in study.widenings),
        trials=count,
        spaces=tuple(plan.spaces),
        untried=untried,
        transfer=moved,
        suggestions=suggest_rates(plan, winner) if plan.transfer else (),
        diverged=sum(bool(trial.outcome.diverged) for trial in trials),
        audits=audits.model_copy(update={"ledger": ledger.parts(plan, count)}),
    )
    return result, trials


def _unknown(plan: Plan, untried: Sequence[str]) -> list[str]:
    got_none = f"{len(untried)} of {plan.races} {plan.noun} got no trial, so nothing is known about them"
    return [got_none] if untried else []


FACTORS = (0.5, 2.0)
"""The budgets at which the winner is tried again, as multiples of the full one."""

_LEVEL = 1 - 0.05 / len(FACTORS)
"""The confidence level at one budget, so that all budgets together hold at 95%."""

_BATCHES = (0.5, 2.0, 4.0)
"""The batch sizes for which a rate is suggested, as multiples of the winner's."""


def transfer(plan: Plan, winner: str, candidates: Mapping[str, Evaluation], evaluate: Evaluate) -> tuple[Transfer, ...]:
    """Compare the candidates, by name, at other budgets, on the seeds of the confirmation and with its statistics.

    It does not matter that `winner` was chosen on these seeds, since the bounds hold for all candidates at once.
    """
    return tuple(_at(factor, plan, winner, candidates, evaluate) for factor in FACTORS)


def _at(factor: float, plan: Plan, winner: str, candidates: Mapping[str, Evaluation], evaluate: Evaluate) -> Transfer:
    epochs, seeds = factor * plan.epochs, plan.fresh_seeds
    losses = losses_of(train_on_seeds(candidates, evaluate, seeds, epochs, _LEVEL))
    found = statistics.verdicts(losses, statistics.looks(len(seeds)), _LEVEL)
    own = found.rows[winner]
    return Transfer(
        factor=factor,
        epochs=epochs,
        verdict=own.verdict,
        rivals=tuple(name for name in found.still_in if name != winner),
        objective=in_its_sign(statistics.mean_interval(losses[winner]), plan.objective),
        difference=own.behind,
        candidates=tuple(candidates),
        seeds=seeds[: len(losses[winner])],
    )


def suggest_rates(plan: Plan, winner: Candidate) -> tuple[RateSuggestion, ...]:
    """Scale the winner's rate to batch sizes that were not searched, at the same number of epochs.

    The rate is proportional to the batch size for SGD (Goyal et al. 2017, arXiv:1706.02677), and to its square root for
    the other optimizers, which all normalise the gradients (Malladi et al. 2022, arXiv:2205.10287, for Adam and
    RMSprop).
    """
    rule, power = ("linear", 1.0) if winner.optimizer == "sgd" else ("square root", 0.5)
    searched = {space.batch_size for space in plan.spaces if space.optimizer == winner.optimizer}
    sizes = [int(factor * winner.batch_size) for factor in _BATCHES]
    return tuple(
        RateSuggestion(batch_size=size, initial_lr=winner.initial_lr * (size / winner.batch_size) ** power, rule=rule)
        for size in sizes
        if 1 <= size <= LARGEST_BATCH and size not in searched
    )
