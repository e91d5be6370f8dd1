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
    found = confirmation.confirm(
        finalists, confirmation.baselines(), ledger, seeds=plan.fresh_seeds, epochs=plan.epochs, trials=trials
    )
    low, high = plan.bounds
    basin = found.rows[found.winner].basin
    assert basin is not None
    result = SearchResult(
        winner=confirmation.settings(finalists[found.winner]),
        leaderboard=tuple(sorted(found.rows.values(), key=lambda row: row.val_loss.mean)),
        ties=found.ties,
        basin=basin,
        baselines=found.baselines,
        cost=ledger.cost(time.perf_counter() - started),
        reason=found.reason,
        lr_low=low,
        lr_high=high,
        trials=len(trials),
        diverged=sum(bool(trial.outcome.diverged) for trial in trials),
    )
    return result, trials
