"""The whole search, from a plan to an answer, and its transfer to other budgets and batch sizes."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline import statistics
from pipeline.evaluation import Ask, Evaluation
from pipeline.results import Cost, SearchResult, Transfer
from pipeline.search import confirmation
from pipeline.search.allocation import finalists, run_trials
from pipeline.search.audits import audit
from pipeline.search.confirmation import losses_of, train_on_seeds
from pipeline.search.leaderboard import in_its_sign
from pipeline.search.plan import Evaluate, Outcome, Plan, Trial, telling
from pipeline.search.scaling import measure_scaling, suggest_rates


@dataclass
class _Ledger:
    """Asks for trainings and adds up their cost: each once, for the part of the search that asked for it first."""

    plan: Plan
    ask: Ask
    started: float = field(default_factory=time.monotonic)
    part: str = "trials"
    known: dict[str, tuple[str, Outcome]] = field(default_factory=dict)
    tried: list[Evaluation] = field(default_factory=list)

    def __call__(self, evaluations: Sequence[Evaluation]) -> list[Outcome]:
        unknown = {one.digest: one for one in evaluations if one.digest not in self.known}
        answered: dict[str, Outcome] = {}
        try:
            for evaluation, training in self.ask(list(unknown.values())):
                answered[evaluation.digest] = Outcome.of(training, self.plan.objective)
        finally:  # what has ended counts even if the others are interrupted; in the order in which they were asked for
            ended = {digest: one for digest, one in unknown.items() if digest in answered}
            self.known |= {digest: (self.part, answered[digest]) for digest in ended}
            self.tried += ended.values() if self.part == "trials" else ()
        return [self.known[evaluation.digest][1] for evaluation in evaluations]

    @property
    def trials(self) -> list[Trial]:
        """The trials that have ended, in the order of their numbers."""
        return [Trial(number, one, self.known[one.digest][1]) for number, one in enumerate(self.tried)]

    def affords(self, trainings: int) -> bool:
        """Return whether this many more full trainings fit into the plan's trainings and seconds."""
        spent = _sum(outcome for _, outcome in self.known.values())
        if spent.epochs / self.plan.epochs + trainings > self.plan.trainings + self.plan.beyond + _ROUNDING:
            return False
        each = spent.seconds / spent.epochs * self.plan.epochs if spent.epochs else 0.0
        elapsed = max(time.monotonic() - self.started, spent.seconds)  # the latter is larger in a resumed search
        return elapsed + trainings * each <= self.plan.seconds

    def cost(self, seconds: float) -> Cost:
        """Return the total cost. Its wall time is `seconds`, or more if an interrupted run did part of the work."""
        total = self._priced(outcome for _, outcome in self.known.values())
        return total.model_copy(update={"seconds": max(seconds, total.seconds)})

    def parts(self, trials: int) -> dict[str, Cost]:
        """Return the cost of each part, of one full training, and of `trials` such trainings (a blind search)."""
        parts = dict.fromkeys(part for part, _ in self.known.values())
        spent = {part: self._priced(o for asked, o in self.known.values() if asked == part) for part in parts}
        full = self._priced(outcome for _, outcome in self.known.values() if not outcome.diverged)
        one = _scaled(full, self.plan.epochs / full.epochs) if full.epochs else full
        return {**spent, "one training": one, "blind search": _scaled(one, trials)}

    def _priced(self, outcomes: Iterable[Outcome]) -> Cost:
        total = _sum(outcomes)
        return total.model_copy(update={"trainings": total.epochs / self.plan.epochs})


_ROUNDING = 0.01
"""Trainings may be a little longer than asked for, since lengths are whole numbers of updates."""


def _sum(outcomes: Iterable[Outcome]) -> Cost:
    known = list(outcomes)
    return Cost(
        seconds=sum(outcome.seconds for outcome in known),
        epochs=sum(outcome.epochs for outcome in known),
        examples=sum(outcome.examples for outcome in known),
    )


def _scaled(cost: Cost, by: float) -> Cost:
    return Cost(
        seconds=cost.seconds * by,
        epochs=cost.epochs * by,
        examples=round(cost.examples * by),
        trainings=cost.trainings * by,
    )


Found = tuple[SearchResult, list[Trial]]


class Interrupted(KeyboardInterrupt):
    """An interrupted search, with the answer that its finished trainings give."""

    def __init__(self, result: SearchResult, trials: list[Trial]) -> None:
        super().__init__("the search was interrupted")
        self.result = result
        self.trials = trials


def conduct(plan: Plan, ask: Ask, say: Callable[[str], None] = lambda text: None) -> Found:
    """Search, and return the answer and all trials.

    Each request depends only on earlier answers, not on their order, nor on the time they take unless seconds are
    limited.

    Args:
        plan: what to search, and how thoroughly.
        ask: runs the trainings.
        say: shows the preliminary answer before it is confirmed.

    Raises:
        Interrupted: if `ask` is interrupted after the first request was answered.

    """
    ledger = _Ledger(plan, ask)
    try:
        return _conclude(plan, ledger, run_trials(plan, ledger, ledger.affords), ledger, ledger.affords, say)
    except KeyboardInterrupt:
        if not ledger.known:
            raise
        raise Interrupted(*_so_far(plan, ledger)) from None


def _so_far(plan: Plan, ledger: _Ledger) -> Found:
    """Return the answer that the trainings known give: that of a search whose budget ends with them."""
    trials = ledger.trials
    again = {trial.evaluation.digest for trial in trials}

    def evaluate(evaluations: Sequence[Evaluation]) -> list[Outcome]:
        again.update(evaluation.digest for evaluation in evaluations)
        return ledger(evaluations)

    def affords(trainings: int) -> bool:
        return len(again) + trainings <= len(ledger.known)

    briefly, lacking = replace(plan, transfer=False), "it was interrupted"
    result, _ = _conclude(briefly, ledger, trials, evaluate, affords, lambda text: None, lacking)
    reason = f"interrupted after {len(ledger.known)} trainings; {result.reason}"
    return result.model_copy(update={"reason": reason}), trials


def _conclude(
    plan: Plan,
    ledger: _Ledger,
    trials: list[Trial],
    evaluate: Evaluate,
    affords: Callable[[int], bool],
    say: Callable[[str], None],
    lacking: str = "no budget or time was left",
) -> Found:
    """Compare what the trials suggest; `lacking` says why nothing was compared if `affords` does not allow it."""
    cells = {plan.name(cell.candidate, cell.candidate.scheme): cell for cell in finalists(plan, trials)}
    name, best = next(iter(cells.items()))
    say(f"best so far: {name} lr={best.candidate.initial_lr:.3g}, after {len(trials)} trials; not confirmed")
    chosen = {name: Evaluation(cell.candidate, plan.epochs, plan.trial_seed) for name, cell in cells.items()}
    ledger.part, baselines = "confirmation", confirmation.baselines(plan)
    found = confirmation.confirm(plan, cells, baselines, trials, evaluate, affords, lacking)
    rivals = chosen if len(chosen) > 1 and found.winner in chosen else {**chosen, **baselines}
    ledger.part, winner = "transfer", {**chosen, **baselines}[found.winner].candidate
    scaling = measure_scaling(plan, winner, telling([*trials, *found.trials]))
    moved = transfer(plan, found.winner, rivals, evaluate) if plan.transfer else ()
    rates = [trial.evaluation.candidate.initial_lr for trial in trials]
    tried = {plan.name(trial.evaluation.candidate, trial.evaluation.candidate.scheme) for trial in trials}
    untried = tuple(
        name
        for space in plan.spaces
        for scheme in plan.schemes_for(space)
        if (name := plan.name(space, scheme)) not in tried
    )
    result = SearchResult(
        objective=plan.objective,
        winner=winner,
        leaderboard=tuple(sorted(found.rows.values(), key=lambda row: plan.objective.oriented(row.objective.mean))),
        ties=found.ties,
        basin=found.basin,
        baselines=found.baselines,
        comparisons=found.comparisons,
        cost=ledger.cost(time.monotonic() - ledger.started),
        reason="; ".join([found.reason, *_unknown(plan, untried)]),
        lr_low=min(rates),
        lr_high=max(rates),
        trials=len(trials),
        spaces=tuple(plan.spaces),
        splits=plan.splits,
        untried=untried,
        transfer=moved,
        suggestions=suggest_rates(plan, winner) if plan.transfer and not scaling else (),
        batch_scaling=scaling,
        diverged=sum(bool(trial.outcome.diverged) for trial in trials),
        audits=audit(plan, trials, found.outcomes, ledger.parts(len(trials))),
    )
    return result, trials


def _unknown(plan: Plan, untried: Sequence[str]) -> list[str]:
    got_none = f"{len(untried)} of {plan.combinations} {plan.noun} got no trial, so nothing is known about them"
    return [got_none] if untried else []


FACTORS = (0.5, 2.0)
"""The budgets at which the winner is tested again, as multiples of the full one."""

_LEVEL = 1 - 0.05 / len(FACTORS)
"""The confidence level at one budget, so that all budgets together hold at 95%."""


def transfer(plan: Plan, winner: str, candidates: Mapping[str, Evaluation], evaluate: Evaluate) -> tuple[Transfer, ...]:
    """Compare the candidates at other budgets, with the seeds and statistics of the confirmation.

    That `winner` was chosen on these seeds does no harm, since the bounds hold for all candidates at once.
    """
    return tuple(_at(factor, plan, winner, candidates, evaluate) for factor in FACTORS)


def _at(factor: float, plan: Plan, winner: str, candidates: Mapping[str, Evaluation], evaluate: Evaluate) -> Transfer:
    epochs, seeds = factor * plan.epochs, plan.fresh_seeds
    step, tolerance = plan.step, plan.tolerance
    trained = train_on_seeds(
        candidates, evaluate, seeds, epochs, _LEVEL, splits=plan.splits, resolution=step, tolerance=tolerance
    )
    losses = losses_of(trained)
    found = statistics.verdicts(losses, statistics.looks(len(seeds)), _LEVEL, resolution=step, tolerance=tolerance)
    own = found.rows[winner]
    return Transfer(
        factor=factor,
        epochs=epochs,
        verdict=own.verdict,
        rivals=tuple(name for name in found.still_in if name != winner),
        objective=in_its_sign(statistics.mean_interval(losses[winner], resolution=step), plan.objective),
        difference=own.behind,
        candidates=tuple(candidates),
        seeds=seeds[: len(losses[winner])],
    )
