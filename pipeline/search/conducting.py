"""The whole search, from a plan to an answer."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pipeline.evaluation import Ask, Evaluation, answers
from pipeline.results import Cost, SearchResult
from pipeline.search import confirmation, transfer
from pipeline.search.allocation import run_trials
from pipeline.search.audits import audit
from pipeline.search.plan import Outcome, Plan, Trial


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
    moved = transfer.transfer(plan, found.winner, rivals, ledger) if plan.transfer else ()
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
        suggestions=transfer.suggest_rates(plan, winner) if plan.transfer else (),
        diverged=sum(bool(trial.outcome.diverged) for trial in trials),
        audits=audits.model_copy(update={"ledger": ledger.parts(plan, count)}),
    )
    return result, trials


def _unknown(plan: Plan, untried: Sequence[str]) -> list[str]:
    got_none = f"{len(untried)} of {plan.races} {plan.noun} got no trial, so nothing is known about them"
    return [got_none] if untried else []
