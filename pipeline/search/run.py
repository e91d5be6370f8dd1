"""The whole search, from a plan to an answer."""

import time
from dataclasses import dataclass

from pipeline.evaluation import Evaluation
from pipeline.results import Cost, SearchResult
from pipeline.search import confirmation
from pipeline.search.plan import Evaluate, Outcome, Plan, Trial
from pipeline.search.study import run_trials


@dataclass
class _Ledger:
    """Runs evaluations and adds up what they cost, together with those it begins with."""

    evaluate: Evaluate
    outcomes: list[Outcome]

    def __call__(self, evaluation: Evaluation) -> Outcome:
        self.outcomes.append(self.evaluate(evaluation))
        return self.outcomes[-1]

    def cost(self, seconds: float) -> Cost:
        """The sum, over `seconds` of wall time, or more where an interrupted run did part of it."""
        return Cost(
            seconds=max(seconds, sum(outcome.seconds for outcome in self.outcomes)),
            epochs=sum(outcome.epochs for outcome in self.outcomes),
            examples=sum(outcome.examples for outcome in self.outcomes),
        )


def run(plan: Plan, evaluate: Evaluate, storage: str, study_name: str) -> tuple[SearchResult, list[Trial]]:
    """Search; a study of this name in `storage`, an SQLAlchemy URL, is continued."""
    started = time.perf_counter()
    trials = run_trials(plan, evaluate, storage, study_name)
    ledger = _Ledger(evaluate, [trial.outcome for trial in trials])
    finalists = {evaluation.scheme: evaluation for evaluation in confirmation.choose_finalists(trials, plan.top_k)}
    baselines = confirmation.baselines(plan)
    candidates = {**finalists, **baselines}
    outcomes = confirmation.confirm(plan, candidates, ledger)
    rows = confirmation.leaderboard(plan, candidates, outcomes)
    best = min(finalists, key=lambda name: confirmation.mean_loss(outcomes[name]))
    basin = confirmation.measure_basin(plan, finalists[best], trials, ledger, confirmation.noise(outcomes))
    low, high = plan.bounds
    result = SearchResult(
        winner=confirmation.settings(finalists[best]),
        leaderboard=tuple(sorted(rows.values(), key=lambda row: row.val_loss.mean)),
        ties=tuple(name for name in finalists if name != best and rows[name].verdict == "tie"),
        basin=basin,
        baselines=tuple(
            confirmation.against_baseline(name, rows[name], outcomes[name], outcomes[best]) for name in baselines
        ),
        cost=ledger.cost(time.perf_counter() - started),
        reason=confirmation.explain(best, finalists, rows),
        lr_low=low,
        lr_high=high,
        trials=len(trials),
        diverged=sum(bool(trial.outcome.diverged) for trial in trials),
    )
    return result, trials
