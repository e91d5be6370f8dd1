"""Which schemes get the next trials, and at which rates."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf, log10

import numpy as np

from pipeline.evaluation import Candidate, Evaluation, Setting
from pipeline.results import Space
from pipeline.rivals import CONSTANT
from pipeline.search.candidates import candidate, coupled, family, same_setting
from pipeline.search.plan import BRACKET, Affords, Evaluate, Outcome, Plan, Trial, telling
from pipeline.search.priors import LEVELS
from pipeline.search.proposals import propose
from pipeline.search.surface import NEARBY, Cell, Surface
from pipeline.usages import usage

STEP = 0.4
"""Decades between the rates of a bracket."""

AT_ONCE = 3
"""The fewest trials between two fits of the surface: an outlier does not affect the others."""

_BOTH_WAYS = 2
"""The most rates of a bracket that are asked for at once: the second is nearly always what would come next anyway."""

_SHARE = 4
"""At most one in so many trials are asked for at once: of more, too many would be chosen before enough is known."""

_FITS = 8
"""The most fits of the surface before trials are asked for, however many run at the same time."""

MODELLED = 16
"""From this trial on, the sampler proposes every second one and varies the schemes' own parameters too."""

_SCHEMES = 7
"""The maximum number of schemes that the first trials compare."""

_FINEST = 0.025
"""Decades between the rates that are compared on the surface."""

_UNDIVIDED = 0.75
"""The share of a step of the bracket above which no rate has been tried between two."""

_WORSE = 1e300
"""The loss that a rate is taken to have while the first is taken for the best: not that of one that diverged."""

_STEPS = 8
"""The most steps that it takes to cross the range test's interval: in a wide one they are longer than `STEP`."""

_EVENNESS = 2
"""Added to each rank when the sampler's trials are shared out, since ranks from few trainings are unreliable."""


def run_trials(plan: Plan, evaluate: Evaluate, affords: Affords = lambda evaluations: True) -> list[Trial]:
    """Run the trials: trainings of full length, each on a seed of its own, so that no rate wins by a lucky seed.

    1. The first scheme brackets the best rate, starting from the suggested one.
    2. The candidates that may be the best, according to the surface fitted to all trainings, are trained, a few at a
       time. From the 17th trial on, every second one also varies the parameters of a good scheme.

    Those of one step that can run at the same time are asked for at once, and the next ones when all have ended: of the
    first step two, of the second at most a quarter of the trials, since more would be chosen worse (reports/scale.md),
    but the last one or two with the others.

    Args:
        plan: what to search.
        evaluate: runs the trainings.
        affords: whether the budget allows further trainings; if not, the trials end.

    Returns:
        The trials in the order of their numbers. There is at least one.

    """
    trials: list[Trial] = []
    while len(trials) < plan.trials:
        asked = _next(plan, trials)[: plan.trials - len(trials)]
        evaluations = _seeded(plan, asked, trials)
        while evaluations and trials and not affords(evaluations):
            evaluations.pop()
        if not evaluations:
            break
        for evaluation, outcome in zip(evaluations, evaluate(evaluations), strict=True):
            trials.append(Trial(len(trials), evaluation, outcome))
        if settled(plan, trials):
            break
    return trials


def _seeded(plan: Plan, asked: Sequence[Candidate], trials: Sequence[Trial]) -> list[Evaluation]:
    """Return the evaluations, each on the next seed of its optimizer and batch size.

    Seeds are counted per setting, so a later search that adds optimizers or batch sizes reuses these trainings.
    """
    used = Counter(_setting(trial.evaluation.candidate) for trial in trials)
    evaluations: list[Evaluation] = []
    for one in asked:
        evaluations.append(Evaluation(one, plan.epochs, plan.trial_seed + used[_setting(one)]))
        used[_setting(one)] += 1
    return evaluations


def _setting(one: Setting) -> tuple[str, int]:
    return one.optimizer, one.batch_size


def _in_order(plan: Plan, setting: Setting) -> list[str]:
    """Return the schemes that are tried with a setting, the most promising first."""
    return sorted(plan.schemes_for(setting), key=lambda scheme: LEVELS.get(scheme, inf))


def _next(plan: Plan, trials: Sequence[Trial]) -> list[Candidate]:
    """Return the next candidates to try, independent of each other; an empty list if nothing is left to try."""
    bracketing = [
        candidate(space, _in_order(plan, space)[0], rate)
        for space in plan.spaces
        for rate in _bracket(space, _in(space, trials), min(plan.at_once // len(plan.spaces), _BOTH_WAYS))
    ]
    if bracketing:
        return bracketing
    if all(trial.outcome.loss == inf for trial in trials):
        return []
    most, left = max(min(plan.at_once, plan.trials // _SHARE), AT_ONCE), plan.trials - len(trials)
    if most < left < most + AT_ONCE and left <= plan.at_once:  # one or two more need no request of their own
        most = left
    asked: list[Candidate] = []
    known = list(trials)
    while len(asked) < min(plan.at_once, most):
        fitted_to = telling(known)
        surface = Surface(fitted_to)
        cells = [_cells(surface, place, fitted_to, nearby=0.0) for place in _places(plan, known)]
        hopeful = sorted((min(one, key=lambda cell: cell.hope) for one in cells), key=lambda cell: cell.hope)
        fitted = len(known)
        for at, cell in enumerate(hopeful[: min(max(AT_ONCE, most // _FITS), most - len(asked))]):
            seen, number = known[: fitted + at - at % AT_ONCE], fitted + at
            asked.append(_sampled(plan, seen) if number >= MODELLED and number % 2 else cell.candidate)
            known.append(_as_expected(plan, surface, number, asked[-1]))
    return asked


def _as_expected(plan: Plan, surface: Surface, number: int, asked: Candidate) -> Trial:
    """Return a trial that is still to run as if it had ended as expected, on a seed that it shares with no other."""
    (cell,) = surface.cells(asked, np.array([asked.initial_lr]), nearby=0.0)
    loss = surface.loss(cell.mean)
    return Trial(number, Evaluation(asked, plan.epochs, -number), Outcome(loss, loss, None, 0.0, plan.epochs, 0))


def finalists(plan: Plan, trials: Sequence[Trial]) -> list[Cell]:
    """Return the best candidate of each of the `top_k` best schemes, judged by how bad they may be (`Cell.worst`).

    Their rates lie within the range tried. If fewer than `top_k` schemes were tried, the most promising untried ones
    join them. If every trial diverged, the candidate with the lowest rate is returned.
    """
    if all(trial.outcome.loss == inf for trial in trials):
        lowest = min((trial.evaluation.candidate for trial in trials), key=lambda one: one.initial_lr)
        return [Cell(lowest, inf, inf)]
    known = telling(trials)
    return _finalists(plan, known, Surface(known))


def _finalists(plan: Plan, trials: Sequence[Trial], surface: Surface) -> list[Cell]:
    sound = [trial.evaluation.candidate for trial in trials if trial.outcome.loss < inf]
    tried = {family(one): one for one in sound}
    best = [min(_cells(surface, place, trials), key=lambda cell: cell.worst) for place in tried.values()]
    chosen: dict[tuple[object, ...], Cell] = {}
    for cell in sorted(best, key=lambda cell: cell.worst):
        one = cell.candidate
        chosen.setdefault((one.optimizer, one.batch_size, one.scheme), cell)
    others = [min(_cells(surface, place, trials), key=lambda cell: cell.hope) for place in _places(plan, trials)]
    for cell in sorted(others, key=lambda cell: cell.hope):
        one = cell.candidate
        if len(chosen) < plan.top_k and plan.confirm_seeds:
            chosen.setdefault((one.optimizer, one.batch_size, one.scheme), cell)
    best = list(chosen.values())[: plan.top_k]
    first = best[0].candidate
    alike = [cell.candidate.scheme for cell in best if same_setting(cell.candidate, first)]
    if not plan.compares_decay or CONSTANT in alike or CONSTANT not in plan.schemes_for(first):
        return best
    constant = first.model_copy(update={"scheme": CONSTANT, "params": {}})
    decayed = [coupled(constant, product, first.initial_lr) for product in plan.couplings_for(first)]
    cells = [cell for place in decayed for cell in _cells(surface, place, trials)]
    return [*best[:-1], min(cells, key=lambda cell: cell.worst)]


def settled(plan: Plan, trials: Sequence[Trial]) -> bool:
    """Return whether the best candidate can hardly be improved on.

    That is so if the largest possible gain, at two standard deviations, is below the noise between seeds or the
    tolerance, whichever is larger.
    """
    if len(trials) < BRACKET or all(trial.outcome.loss == inf for trial in trials):
        return False
    known = telling(trials)
    surface = Surface(known)
    best, *_ = _finalists(plan, known, surface)
    cells = [cell for place in _places(plan, trials) for cell in _cells(surface, place, known)]
    gain = best.mean - min(cell.mean - 2 * cell.deviation for cell in cells)
    return gain < max(surface.noise, plan.tolerance)


def _places(plan: Plan, trials: Sequence[Trial]) -> list[Candidate]:
    """Return the schemes that may be tried next in each space; their number grows with that of the trials."""
    most = max(_SCHEMES, len(trials) * 2 // 3)
    return [
        coupled(candidate(space, scheme, space.suggested_lr), product, space.suggested_lr)
        for space in plan.spaces
        for scheme in _in_order(plan, space)[:most]
        for product in plan.couplings_for(space)
    ]


def _cells(surface: Surface, place: Candidate, trials: Sequence[Trial], nearby: float = NEARBY) -> list[Cell]:
    """Return what the surface expects of a place's scheme, from the lowest to the highest sound rate of its setting.

    If the best rate is at an end, the range extends half a step beyond it, unless a larger rate diverged. An optimizer
    may have only one rate.
    """
    losses = {trial.evaluation.candidate.initial_lr: trial.outcome.loss for trial in _in(place, trials)}
    sound = [rate for rate, loss in losses.items() if loss < inf]
    if not sound:
        return [Cell(place, inf, inf)]
    if usage(place.optimizer).has_one_rate:
        return surface.cells(place, np.array([place.initial_lr]))
    best, low, high = min(sound, key=losses.__getitem__), log10(min(sound)), log10(max(sound))
    if best == min(sound):
        low -= STEP / 2
    if best == max(sound) == max(losses):
        high += STEP / 2
    rates = 10 ** np.arange(low, high + _FINEST / 2, _FINEST)
    return surface.cells(place, rates, nearby=nearby)


def _sampled(plan: Plan, trials: Sequence[Trial]) -> Candidate:
    """Return the sampler's proposal for one of the better schemes.

    The scheme is chosen by D'Hondt's rule, with votes that fall slowly with rank: the best scheme gets twice the trials
    of the fourth, and every scheme gets some.
    """
    spaces = {_setting(space): space for space in plan.spaces}
    groups: dict[tuple[tuple[str, int], str], list[Trial]] = {
        (setting, scheme): [] for setting, space in spaces.items() for scheme in _in_order(plan, space)
    }
    for trial in trials:
        one = trial.evaluation.candidate
        groups.setdefault((_setting(one), one.scheme), []).append(trial)
    ranked = sorted(groups, key=lambda group: min((trial.outcome.loss for trial in groups[group]), default=inf))
    shares = {
        group: 1 / ((rank + _EVENNESS) * max(len(groups[group]), 1)) for rank, group in enumerate(ranked, start=1)
    }
    setting, scheme = max(shares, key=shares.__getitem__)
    return propose(plan, spaces[setting], scheme, groups[setting, scheme])


def _bracket(space: Space, known: Sequence[Trial], at_once: int) -> list[float]:
    """Return the next rates of the first scheme in a space, at least one; none once the best rate is bracketed.

    Of several, the first is taken for the best: the next lies beside it.
    """
    tried = [(trial.evaluation.candidate, trial.outcome.loss) for trial in known]
    losses = {one.initial_lr: loss for one, loss in tried if one.weight_decay is None}
    start = space.start_lr or space.suggested_lr
    if space.lr_low == space.lr_high:
        return [] if known else [start]
    step = max(STEP, log10(space.lr_high / space.lr_low) / _STEPS)
    rates: list[float] = []
    while len(rates) < max(at_once, 1):
        rate = next_in_bracket(losses, float(f"{start:.3g}"), step)
        if rate is None:
            break
        rates.append(rate)
        losses[rate] = _WORSE if losses else 0.0
    return rates


def next_in_bracket(losses: Mapping[float, float], start: float, step: float = STEP) -> float | None:
    """Return the next rate to try, beginning with `start`; None once the best of `losses` lies between two others.

    Larger rates come first: if they diverge, they cost little. If the one next to the best does, a rate a third of the
    way to it is tried once, since the best one may be just below the cliff. At most `BRACKET` rates are tried.
    """
    if not losses:
        return start
    best = min(sorted(losses), key=losses.__getitem__)
    if len(losses) >= BRACKET:
        return None
    if best == max(losses) and losses[best] < inf:
        return float(best * 10**step)
    above = min((rate for rate in losses if rate > best), default=best)
    if losses[best] < losses[above] == inf and log10(above / best) > step * _UNDIVIDED:
        return float(best * (above / best) ** (1 / 3))
    return float(best / 10**step) if best == min(losses) else None


def _in(setting: Setting, trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if same_setting(setting, trial.evaluation.candidate)]
