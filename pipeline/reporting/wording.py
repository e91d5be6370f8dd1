"""Numbers and names formatted for readers, the same in the terminal, in tables and in figures."""

import re
from collections.abc import Mapping
from math import isfinite

from pipeline.results import Basin, Guess, History, Interval, SearchResult
from pipeline.schedules import SCHEMES

_OPTIMIZERS = {
    "sgd": "SGD",
    "adam": "Adam",
    "adamw": "AdamW",
    "adadelta": "Adadelta",
    "adamax": "AdaMax",
    "rmsprop": "RMSprop",
    "nadam": "Nadam",
    "adagrad": "Adagrad",
    "lion": "Lion",
    "adafactor": "Adafactor",
    "lamb": "LAMB",
    "muon": "Muon",
    "schedule_free_sgd": "Schedule-Free SGD",
    "schedule_free_adamw": "Schedule-Free AdamW",
    "prodigy": "Prodigy",
}


def number(value: float, digits: int = 3) -> str:
    """Return `value` with `digits` significant digits, without trailing zeros or padded exponents: 0.0316, 1e-5."""
    if not isfinite(value):
        return "n/a"
    if value and abs(value) >= 10**digits:
        text = f"{value:.0f}" if abs(value) < 1e6 else f"{value:.{digits}g}"
    else:
        text = f"{value:.{digits}g}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def loss(value: float) -> str:
    """Return a loss with four significant digits."""
    return number(value, 4)


def percent(fraction: float) -> str:
    """Return a fraction in [0, 1] as percent with two decimals."""
    return f"{100 * fraction:.2f}%" if isfinite(fraction) else "n/a"


def signed(value: float, digits: int = 3) -> str:
    """Return `value` with its sign always shown."""
    return ("+" if value > 0 else "") + number(value, digits)


def scores(values: Mapping[str, float]) -> str:
    """Return metrics by their names in Keras: "digit accuracy 97.50%, ink mae 0.0213"."""
    shown = {name: percent(value) if name.endswith("accuracy") else loss(value) for name, value in values.items()}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in shown.items())


def points(fraction: float) -> str:
    """Return a difference of accuracies, given as a fraction, in signed percentage points."""
    if not isfinite(fraction):
        return "n/a"
    text = f"{100 * fraction:+.2f}"
    return "0.00" if float(text) == 0 else text


def level(interval: Interval) -> str:
    """Return the confidence level in percent: 95%, 97.5%, 98.3%."""
    return f"{100 * interval.level:.3g}%"


def span(interval: Interval) -> str:
    """Return the bounds of an interval, or "unbounded", as with a single seed."""
    if not (isfinite(interval.low) and isfinite(interval.high)):
        return "unbounded"
    return f"{number(interval.low)} to {number(interval.high)}"


def behind(interval: Interval) -> str:
    """Return how far a candidate is behind the best: the mean difference and its upper bound."""
    if not isfinite(interval.mean):
        return "n/a"
    most = f"at most {number(interval.high)}" if isfinite(interval.high) else "unbounded"
    return "best" if interval.high == 0 else f"{number(interval.mean)}, {most}"


def basin(found: Basin) -> str:
    """Return the range of a basin: 0.0251 to 0.112, 0.7 decades."""
    return f"{number(found.lr_low)} to {number(found.lr_high)}, {found.decades:.1f} decades"


def seconds(duration: float) -> str:
    """Return a duration in seconds as 0.8 s, 48 s, 3 min 12 s or 1 h 02 min."""
    if not isfinite(duration):
        return "n/a"
    if duration < 10:
        return f"{duration:.1f} s"
    whole = round(duration)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def count(amount: int, noun: str) -> str:
    """Return an amount with its noun: 1 seed, 3 seeds, 12,000 examples."""
    return f"{amount:,} {noun}" + ("" if amount == 1 else "s")


def spread(seeds: int, splits: int) -> str:
    """Return what a comparison on these seeds, spread over splits of the data, holds for."""
    if min(seeds, splits) <= 1:
        return (
            "All of this holds on this split of the data into training and validation set; intervals cover the seeds."
        )
    said = f"Finalists and baselines were compared over {seeds} seeds"
    if splits < seeds:
        return f"{said} on {splits} splits of the data: intervals cover the choice of the split in part."
    return f"{said}, each on its own split of the data: intervals cover the choice of the split."


def guessing(guess: Guess, part: str, value: float, accuracy: float | None) -> list[str]:
    """Return what to say first of an answer that, or an output of which, is no better than guessing; else nothing.

    Args:
        guess: what guessing gives.
        part: the data on which it was compared: "test" or "validation".
        value: the answer's loss.
        accuracy: the answer's accuracy, if it has one.

    """
    why = [f"{reason[0].upper()}{reason[1:]}." for reason in guess.why]
    if guess.beaten:
        return why
    compared = [] if guess.loss is None else [f"{part} loss {loss(value)} against {loss(guess.loss)}"]
    if accuracy is not None and guess.accuracy is not None:
        compared.insert(0, f"{part} accuracy {percent(accuracy)} against {percent(guess.accuracy)}")
    said = f"This is no better than predicting {guess.what} for every example: {', '.join(compared)}."
    return [said, *why]


def no_better(search: SearchResult) -> list[str]:
    """Return what to say first of a search whose winner is no better than guessing; else nothing."""
    row = next(row for row in search.leaderboard if row.only == search.winner)
    return guessing(search.guess, "validation", row.val_loss.mean, row.val_accuracy) if search.guess else []


def started_from(history: History) -> str:
    """Return from which earlier answer a search started, and at what rate that made it begin."""
    optimizers = listed([optimizer(name) for name in history.optimizer.split(",")])
    where = f"{history.model}, {optimizers}, batches of {history.batch_size}, {count(history.epochs, 'epoch')}"
    start = f"{number(history.correction, 2)} times the range test's rate, within its interval"
    return f"started from the earlier answer on {history.data} ({where}): at {start}"


def optimizer(name: str) -> str:
    """Return an optimizer's name in its usual spelling."""
    return _OPTIMIZERS.get(name, name)


def scheme(name: str) -> str:
    """Return a scheme's name in words: `inverse_time` as "inverse time"."""
    return name.replace("_", " ")


_SCHEMES = re.compile(rf"\b({'|'.join(SCHEMES)})\b")


def sentence(reason: str) -> str:
    """Return a reason as a sentence, with the schemes in it in words."""
    text = _SCHEMES.sub(lambda found: scheme(found[0]), reason.rstrip("."))
    return f"{text[:1].upper()}{text[1:]}."


def params(values: Mapping[str, float | int | str | bool]) -> str:
    """Return a scheme's parameters as name=value, with floats shortened; empty if there are none."""
    return ", ".join(f"{name}={number(v) if type(v) is float else v}" for name, v in values.items())


def listed(names: list[str]) -> str:
    """Return names joined into a phrase: "a", "a and b", "a, b and c"."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
