"""The whole search, from a plan to an answer."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from pipeline.evaluation import Evaluation
from pipeline.results import Cost, SearchedSpace, SearchResult
from pipeline.search import confirmation, transfer
from pipeline.search.audits import audit
from pipeline.search.plan import Evaluate, Outcome, Plan, Trial
from pipeline.search.races import run_races


@dataclass
class _Ledger:
    """Runs evaluations and adds up what they cost: each once, however often it is asked, by who asked first."""

    evaluate: Evaluate
    part: str = "trials"
    answers: dict[str, tuple[str, Outcome]] = field(default_factory=dict)

    def __call__(self, evaluation: Evaluation) -> Outcome:
        if evaluation.digest not in self.answers:
            self.answers[evaluation.digest] = self.part, self.evaluate(evaluation)
        return self.answers[evaluation.digest][1]

    def cost(self, seconds: float) -> Cost:
        """The sum, over `seconds` of wall time, or more where an interrupted run did part of it."""
        total = _sum([outcome for _, outcome in self.answers.values()])
        return total.model_copy(update={"seconds": max(seconds, total.seconds)})

    def parts(self, plan: Plan, trials: int) -> dict[str, Cost]:
        """The training alone of each part, one training at the full budget, and a blind search of `trials` such."""
        parts = dict.fromkeys(part for part, _ in self.answers.values())
        spent = {part: _sum([outcome for asked, outcome in self.answers.values() if asked == part]) for part in parts}
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


def run(plan: Plan, evaluate: Evaluate) -> tuple[SearchResult, list[Trial]]:
    """Search; `evaluate` answers what it has answered before without training again."""
    started = time.perf_counter()
    ledger = _Ledger(evaluate)
    races = run_races(plan, ledger)
    trials = sorted((trial for race in races for trial in race.trials), key=lambda trial: trial.number)
    chosen = confirmation.choose_finalists(trials, plan.top_k)
    finalists = {plan.name(f, f.scheme): replace(f, epochs=plan.trial_epochs) for f in chosen}
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
    ledger.part, count = "audits", sum(race.length for race in races)
    audits = audit(plan, trials, finalists, baselines, found.outcomes, ledger)
    ledger.part = "transfer"
    rivals = finalists if len(finalists) > 1 else {**finalists, **baselines}
    moved = transfer.transfer(plan, found.winner, rivals, ledger) if plan.transfer else ()
    basin = found.rows[found.winner].basin
    assert basin is not None
    untried = tuple(race.name for race in races if not race.length)
    result = SearchResult(
        objective=plan.objective,
        winner=confirmation.settings(finalists[found.winner]),
        leaderboard=tuple(sorted(found.rows.values(), key=lambda row: plan.objective.oriented(row.objective.mean))),
        ties=found.ties,
        basin=basin,
        baselines=found.baselines,
        cost=ledger.cost(time.perf_counter() - started),
        reason="; ".join([found.reason, *_unknown(plan, untried)]),
        lr_low=min(race.bounds[0] for race in races),
        lr_high=max(race.bounds[1] for race in races),
        widened=tuple(widening for race in races for widening in race.widenings),
        trials=count,
        spaces=tuple(SearchedSpace(**asdict(space)) for space in plan.spaces),
        untried=untried,
        transfer=moved,
        suggestions=transfer.suggest_rates(plan, finalists[found.winner]) if plan.transfer else (),
        diverged=sum(bool(trial.outcome.diverged) for trial in trials),
        audits=audits.model_copy(update={"ledger": ledger.parts(plan, count)}),
    )
    return result, trials


def _unknown(plan: Plan, untried: Sequence[str]) -> list[str]:
    got_none = f"{len(untried)} of {plan.races} {plan.what_races} got no trial, so nothing is known of them"
    return [got_none] if untried else []
