"""Candidates as a search makes them, and what they have in common."""

from pipeline.evaluation import Candidate, Setting
from pipeline.schedules import SCHEMES, Value
from pipeline.usages import usage


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


def same_setting(one: Setting, other: Setting) -> bool:
    """Return whether both have the same optimizer and batch size, and so share a curve."""
    return (one.optimizer, one.batch_size) == (other.optimizer, other.batch_size)


def family(one: Candidate) -> tuple[object, ...]:
    """Return a key that is equal for candidates which differ only in the rate."""
    return one.optimizer, one.batch_size, one.scheme, *sorted(one.params.items())
