"""Candidates as a search makes them, and what they have in common."""

from pipeline.evaluation import Candidate, Setting
from pipeline.schedules import SCHEMES, Value
from pipeline.usages import usage

E_FOLDINGS = (0.5, 4.0)
"""What the search takes initial rate x weight decay x updates to be, beside the optimizer's own decay.

At a constant rate, the weights would shrink by so many powers of e if there were no gradients. This number rather than
the decay itself is what the best decays of different rates and lengths have in common (Wang and Aitchison 2024,
arXiv:2405.13698).
"""


def couplings(updates: int) -> tuple[float, ...]:
    """Return the products of initial rate and weight decay that are tried in trainings of this length."""
    return tuple(_one_digit(number / updates) for number in E_FOLDINGS)


def coupling(one: Candidate) -> float | None:
    """Return the product of initial rate and weight decay, to one digit; None for the optimizer's own decay."""
    return None if one.weight_decay is None else _one_digit(one.initial_lr * one.weight_decay)


def coupled(one: Candidate, product: float | None, initial_lr: float) -> Candidate:
    """Return the candidate at another rate, with the decay that gives this product of both."""
    rate = rounded(initial_lr)
    decay = None if product is None else rounded(product / rate)
    return one.model_copy(update={"initial_lr": rate, "weight_decay": decay})


def at_batch_size(one: Candidate, batch_size: int, initial_lr: float) -> Candidate:
    """Return the candidate at another batch size and rate; if its decay is coupled, with as many e-foldings."""
    product = coupling(one)
    scaled = None if product is None else _one_digit(product * batch_size / one.batch_size)
    return coupled(one.model_copy(update={"batch_size": batch_size}), scaled, initial_lr)


def candidate(setting: Setting, scheme: str, initial_lr: float) -> Candidate:
    """Return the candidate with the scheme's default parameters, or those that the optimizer needs."""
    return Candidate(
        scheme=scheme,
        initial_lr=rounded(initial_lr),
        optimizer=setting.optimizer,
        batch_size=setting.batch_size,
        params={**defaults(scheme), **(usage(setting.optimizer).params or {})},
    )


def defaults(scheme: str) -> dict[str, Value]:
    """Return the default values of the parameters that a search varies."""
    return {p.name: p.default for p in SCHEMES[scheme].parameters if p.search is not None}


def rounded(rate: float) -> float:
    """Return the rate with three significant digits: it is not known more precisely, and is easier to use."""
    return float(f"{rate:.3g}")


def _one_digit(product: float) -> float:
    """Return a product with one digit, which it keeps when a rate and a decay are rounded to three."""
    return float(f"{product:.1g}")


def same_setting(one: Setting, other: Setting) -> bool:
    """Return whether both have the same optimizer and batch size, and so share a curve."""
    return (one.optimizer, one.batch_size) == (other.optimizer, other.batch_size)


def family(one: Candidate) -> tuple[object, ...]:
    """Return a key that is equal for candidates which differ only in the rate, and in the decay coupled to it."""
    return one.optimizer, one.batch_size, one.scheme, coupling(one), *sorted(one.params.items())
