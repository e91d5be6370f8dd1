"""Which schemes get the next trials, at which rates and budgets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import inf, log10

import numpy as np

from pipeline.results import Space
from pipeline.schedules import Array
from pipeline.search.plan import BRACKET, Evaluate, Plan, Trial
from pipeline.search.scheme_study import Attempt, Point, SchemeStudy, run_attempts

FIRST = ("linear", "one_cycle", "cosine", "warmup_stable_decay", "rex")
"""Tried before the others, since published comparisons find them good nearly everywhere: linear decay as good as any
common schedule on ten problems (Defazio et al. 2023, arXiv:2310.07831), rex (Chen et al. 2021, arXiv:2107.04197), the
trapezoid as good as cosine (Haegele et al. 2024, arXiv:2405.18392). This is only an order: every scheme is tried."""

_MULTIPLES = (1.0, 10**-0.2, 10**0.2)
"""The first trials of a scheme have its default parameters, at these multiples of the common rate. Smaller rates come
first, since above the best rate losses become noisy and soon diverge."""

_EVENNESS = 2
"""Added to each rank when further trials are shared out, since ranks from one training each are unreliable."""

STEP = 0.4
"""Decades between the rates of a bracket."""

_NEAR = 2.0
"""Losses further above the lowest do not enter the parabola. The unit is the mean excess over the lowest loss, so that
neither the unit of an objective nor its zero matters."""

_NOISE, _APART = 0.25, 0.5
"""Prior standard deviations: of the noise of a loss, and of the levels of schemes."""

_CURVATURE, _FLATTEST = 3.0, 0.3
"""The prior mean of the rise one decade from the minimum, also its standard deviation; and the smallest rise used."""


@dataclass(frozen=True)
class _Ask:
    """A trial to run at `point`, or where the sampler proposes if None; `extra` ones are not limited by the plan."""

    study: SchemeStudy
    budgets: Sequence[float]
    point: Point | None = None
    extra: bool = False


def run_trials(plan: Plan, evaluate: Evaluate) -> list[SchemeStudy]:
    """Run `plan.trials` trials, and a few more where the best rate is close to a bound.

    1. The first scheme looks for the best rate at the full budget, starting from the suggested one.
    2. All other schemes are tried once at the rate that was best for the first: at the lower budgets, and at the full
       one if they are among the best there.
    3. Further trials go to the schemes with the lowest losses: first near the rate that is best for all schemes, at
       the full budget, then where the sampler proposes.

    Returns:
        One study for each scheme in each space.

    """
    schemes = sorted(plan.schemes, key=lambda scheme: FIRST.index(scheme) if scheme in FIRST else len(FIRST))
    studies = [SchemeStudy(plan, space, scheme) for scheme, space in product(schemes, plan.spaces)]
    number = 0
    while True:
        asks = _next(plan, studies)
        if not asks[0].extra:
            asks = asks[: max(plan.trials - number, 0)]
        if not asks:
            return studies
        run_attempts([_attempt(plan, studies, at, ask) for at, ask in enumerate(asks, start=number)], evaluate)
        number += len(asks)


def _attempt(plan: Plan, studies: Sequence[SchemeStudy], number: int, ask: _Ask) -> Attempt:
    others = [study for study in studies if study is not ask.study]
    return Attempt(number, ask.study, ask.study.attempt(ask.budgets, partial(_leads, plan, others), ask.point))


def _leads(plan: Plan, others: Sequence[SchemeStudy], loss: float) -> bool:
    """Return whether this loss at `trial_epochs` is among those of the `top_k` best schemes."""
    lowest = [min((t.outcome.loss for t in study.at(plan.trial_epochs)), default=inf) for study in others]
    return sum(other < loss for other in lowest) < plan.top_k


def _next(plan: Plan, studies: Sequence[SchemeStudy]) -> list[_Ask]:
    """Return the next trials, as many as do not depend on each other.

    They depend on earlier trials only, never on how many are planned.
    """
    whole, climbing = (plan.epochs,), (*plan.budgets, plan.epochs)
    firsts = sorted(studies[: len(plan.spaces)], key=lambda study: study.length)
    rates = [(first, _bracket(plan, studies, first)) for first in firsts]
    bracketing = [_Ask(first, whole, first.defaults(rate)) for first, rate in rates if rate is not None]
    if bracketing:
        return bracketing
    untried = [study for study in studies if not study.length]
    if untried:
        return [_Ask(study, climbing, study.defaults(_common(plan, studies, study.space))) for study in untried]
    ranked = sorted(studies, key=_loss)
    for leader in [study for study in ranked if study.best][: plan.top_k]:
        beyond = leader.widen()
        if beyond is not None:
            return [_Ask(leader, whole, beyond, extra=True)]
    # D'Hondt's rule with votes that fall slowly: the best scheme gets twice the trials of the fourth, and none starves.
    shares = [1 / ((rank + _EVENNESS) * study.length) for rank, study in enumerate(ranked, start=1)]
    study = ranked[shares.index(max(shares))]
    if study.length >= len(_MULTIPLES):
        return [_Ask(study, climbing)]
    rate = _common(plan, studies, study.space) * _MULTIPLES[study.length]
    return [_Ask(study, whole, study.defaults(rate))]


def _bracket(plan: Plan, studies: Sequence[SchemeStudy], first: SchemeStudy) -> float | None:
    """Return the next rate for the first scheme; None once the best is known or other schemes have begun."""
    if any(study.length for study in studies if study.space == first.space and study is not first):
        return None
    tried = {trial.evaluation.candidate.initial_lr: trial.outcome.loss for trial in first.at(plan.epochs)}
    rate = next_in_bracket(tried, first.space.suggested_lr)
    return None if rate is None or first.clipped(rate) in tried else rate


def _common(plan: Plan, studies: Sequence[SchemeStudy], space: Space) -> float:
    known = [trial for study in studies if study.space == space for trial in study.at(plan.epochs)]
    return common_rate(known, space.suggested_lr)


def _loss(study: SchemeStudy) -> tuple[float, float]:
    """Return a sort key: the highest budget reached and the loss there; studies without a finite loss come first."""
    best = study.best
    return (-best.evaluation.epochs, best.outcome.loss) if best else (-inf, -inf)


def next_in_bracket(losses: Mapping[float, float], start: float) -> float | None:
    """Return the next rate to try, from `start` on, or None once the best of `losses` lies between two others.

    Larger rates come first: where they diverge, they cost little.
    """
    if not losses:
        return start
    best = min(sorted(losses), key=losses.__getitem__)
    if len(losses) >= BRACKET:
        return None
    if best == max(losses) and losses[best] < inf:
        return float(best * 10**STEP)
    return float(best / 10**STEP) if best == min(losses) else None


def common_rate(trials: Sequence[Trial], start: float) -> float:
    """Return the rate that is best for several schemes at the same budget; `start` where all trials diverged.

    The model is a level for each scheme plus one parabola over log rate for all. It is linear with a normal prior, so
    that schemes with one trial and rates on one side of the minimum contribute too. The minimum is clipped to the rates
    tried, and to half-way towards the lowest rate above them that diverged.
    """
    sound = [trial for trial in trials if trial.outcome.loss < inf]
    if not sound:
        return start
    losses = np.array([trial.outcome.loss for trial in sound])
    excess = (losses - losses.min()) / (float(np.mean(losses - losses.min())) or 1.0)
    near = np.flatnonzero(excess <= _NEAR)
    rates = _decades([sound[at] for at in near])
    centre = rates[excess[near].argmin()]
    names = sorted({trial.evaluation.candidate.scheme for trial in sound})
    schemes = np.array([[sound[at].evaluation.candidate.scheme == name for name in names] for at in near], np.float64)
    slope, curvature = _parabola(rates - centre, excess[near], schemes)
    highest = float(rates.max())
    beyond = [rate for rate in _decades([trial for trial in trials if trial not in sound]) if rate > highest]
    top = min([highest, *[(highest + rate) / 2 for rate in beyond]])
    rate = 10 ** np.clip(centre - slope / (2 * max(curvature, _FLATTEST)), rates.min(), top)
    return float(f"{rate:.3g}")  # not known more precisely; this way the last digits of the losses do not matter


def _parabola(rates: Array, losses: Array, schemes: Array) -> tuple[float, float]:
    """Return the most probable slope at 0 and curvature; `schemes` is the one-hot matrix of schemes."""
    design = np.column_stack([np.ones_like(rates), rates, rates**2, schemes])
    expected = np.array([0.0, 0.0, _CURVATURE, *[0.0] * schemes.shape[1]])
    certainty = np.array([0.0, 0.0, _CURVATURE**-2, *[_APART**-2] * schemes.shape[1]])
    left = design.T @ design / _NOISE**2 + np.diag(certainty)
    found = np.linalg.lstsq(left, design.T @ losses / _NOISE**2 + certainty * expected, rcond=None)[0]
    return float(found[1]), float(found[2])


def _decades(trials: Sequence[Trial]) -> Array:
    return np.array([log10(trial.evaluation.candidate.initial_lr) for trial in trials], np.float64)
