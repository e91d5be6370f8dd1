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
from pipeline.search.other_batches import train_at_further_sizes
from pipeline.search.plan import Affords, Evaluate, Outcome, Plan, Trial, telling
from pipeline.search.scaling import measure_scaling, suggest_rates


@dataclass
class _Ledger:
    """Asks for trainings and adds up their cost: each once, for the part of the search that asked for it first.

    Workers that a request would leave idle train what is `certain` to be asked for later. Nothing looks at these
    trainings before they are asked for, so the search is the same as without.
    """

    plan: Plan
    ask: Ask
    certain: Sequence[Evaluation] = ()
    started: float = field(default_factory=time.monotonic)
    part: str = "trials"
    known: dict[str, tuple[str, Outcome]] = field(default_factory=dict)
    early: dict[str, Outcome] = field(default_factory=dict)
    tried: list[Evaluation] = field(default_factory=list)

    def __call__(self, evaluations: Sequence[Evaluation]) -> list[Outcome]:
        unknown = {one.digest: one for one in evaluations if one.digest not in self.known}
        answered = {digest: self.early.pop(digest) for digest in unknown if digest in self.early}
        asked = [one for digest, one in unknown.items() if digest not in answered]
        taken, idle = {*self.known, *self.early, *unknown}, -len(asked) % self.plan.at_once
        ahead = [one for one in self.certain if one.digest not in taken][:idle]
        try:
            for evaluation, training in self.ask([*asked, *ahead]):
                found = answered if evaluation.digest in unknown else self.early
                found[evaluation.digest] = Outcome.of(training, self.plan.objective)
        finally:  # what has ended counts even if the others are interrupted; in the order in which they were asked for
            ended = {digest: one for digest, one in unknown.items() if digest in answered}
            self.known |= {digest: (self.part, answered[digest]) for digest in ended}
            self.tried += ended.values() if self.part == "trials" else ()
        return [self.known[evaluation.digest][1] for evaluation in evaluations]

    @property
    def ended(self) -> list[tuple[str, Outcome]]:
        """Every training that has ended, with the part of the search that it is for."""
        return [*self.known.values(), *(("confirmation", outcome) for outcome in self.early.values())]

    @property
    def trials(self) -> list[Trial]:
        """The trials that have ended, in the order of their numbers."""
        return [Trial(number, one, self.known[one.digest][1]) for number, one in enumerate(self.tried)]

    def affords(self, evaluations: Sequence[Evaluation]) -> bool:
        """Return whether these further full trainings fit into the plan's trainings and seconds."""
        plan, spent = self.plan, _sum(outcome for _, outcome in self.known.values())
        if spent.epochs / plan.epochs + len(evaluations) > plan.trainings + plan.beyond + _ROUNDING:
            return False
        each = spent.seconds / spent.epochs * plan.epochs if spent.epochs else 0.0
        rounds = -(-sum(one.digest not in self.early for one in evaluations) // plan.at_once)
        return self.cost().seconds + rounds * each <= plan.seconds

    def cost(self) -> Cost:
        """Return the total cost. Its time is that on the clock, or more if an interrupted run did part of the work."""
        total = self._priced(outcome for _, outcome in self.ended)
        elapsed = max(time.monotonic() - self.started, total.seconds / self.plan.at_once)
        return total.model_copy(update={"seconds": elapsed})

    def parts(self, trials: int) -> dict[str, Cost]:
        """Return the cost of each part, of one full training, and of `trials` such trainings (a blind search)."""
        parts = dict.fromkeys(part for part, _ in self.ended)
        spent = {part: self._priced(o for asked, o in self.ended if asked == part) for part in parts}
        full = self._priced(outcome for _, outcome in self.ended if not outcome.diverged)
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
    ledger = _Ledger(plan, ask, confirmation.certain(plan))
    try:
        return _conclude(plan, ledger, run_trials(plan, ledger, ledger.affords), ledger.affords, say)
    except KeyboardInterrupt:
        if not ledger.known:
            raise
        raise Interrupted(*_so_far(plan, ledger)) from None


def _so_far(plan: Plan, ledger: _Ledger) -> Found:
    """Return the answer that the trainings known give: that of a search whose budget ends with them."""
    trials = ledger.trials

    def affords(evaluations: Sequence[Evaluation]) -> bool:
        return all(one.digest in ledger.known for one in evaluations)

    briefly, lacking = replace(plan, transfer=False, batch_transfer=False), "it was interrupted"
    result, _ = _conclude(briefly, ledger, trials, affords, lambda text: None, lacking)
    reason = f"interrupted after {len(ledger.ended)} trainings; {result.reason}"
    return result.model_copy(update={"reason": reason}), trials


def _conclude(
    plan: Plan,
    ledger: _Ledger,
    trials: list[Trial],
    affords: Affords,
    say: Callable[[str], None],
    lacking: str = "no budget or time was left",
) -> Found:
    """Compare what the trials suggest; `lacking` says why nothing was compared if `affords` does not allow it."""
    cells = {plan.name_of(cell.candidate): cell for cell in finalists(plan, trials)}
    name, best = next(iter(cells.items()))
    say(f"best so far: {name} lr={best.candidate.initial_lr:.3g}, after {len(trials)} trials; not confirmed")
    chosen = {name: Evaluation(cell.candidate, plan.epochs, plan.trial_seed) for name, cell in cells.items()}
    ledger.part, baselines = "confirmation", confirmation.baselines(plan)
    found = confirmation.confirm(plan, cells, baselines, trials, ledger, affords, lacking)
    rivals = chosen if len(chosen) > 1 and found.winner in chosen else {**chosen, **baselines}
    ledger.part, winner = "transfer", {**chosen, **baselines}[found.winner].candidate
    moved = transfer(plan, found.winner, rivals, ledger) if plan.transfer else ()
    ledger.part, known = "batch transfer", telling([*trials, *found.trials])
    further = train_at_further_sizes(plan, winner, known, ledger) if plan.batch_transfer else []
    scaling = measure_scaling(plan, winner, [*known, *further])
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
        cost=ledger.cost(),
        reason="; ".join([found.reason, *_unknown(plan, untried)]),
        lr_low=min(rates),
        lr_high=max(rates),
        trials=len(trials),
        spaces=tuple(plan.spaces),
        splits=plan.splits,
        untried=untried,
        transfer=moved,
        suggestions=suggest_rates(plan, winner) if (plan.transfer or plan.batch_transfer) and not scaling else (),
        batch_scaling=scaling,
        further_batch_sizes=tuple(sorted({trial.evaluation.candidate.batch_size for trial in further})),
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
