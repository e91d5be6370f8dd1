"""Splitting into training, validation and test sets, and label codes."""

import math
from dataclasses import replace

import numpy as np

from pipeline.datasets.arrays import Array, Index, Raw, RowNumbers, Scalings, Splits, label_kind
from pipeline.datasets.conform import conform
from pipeline.datasets.large import take
from pipeline.datasets.scaling import scalings
from pipeline.datasets.streams import Stream
from pipeline.errors import InputError, listed, refusal
from pipeline.scale import AUTO


def split(
    raw: Raw, seed: int, validation_fraction: float = 0.2, test_fraction: float = 0.2, *, scale: str = AUTO
) -> Splits:
    """Split `raw` at random by `seed`, stratified by class except for regression.

    An official test set is kept as it is, and `validation_fraction` applies to the training data. Without one, both
    fractions apply to all data. Scaling comes from the training split alone.

    Args:
        raw: the data, which are checked, since they need not come from `load`.
        seed: from 0 to 2**32 - 1; the same data and seed give the same splits.
        validation_fraction: above 0 and below 1.
        test_fraction: above 0 and below 1, unused with an official test set. The fractions used sum to less than 1.
        scale: how inputs are scaled, as the option of that name.

    Raises:
        InputError: for data or fractions that cannot be used, or too few examples in total or of one class.

    """
    raw = conform(raw)
    official = raw.x_test is not None
    test_share = 0.0 if official else test_fraction
    _check_fractions(validation_fraction, test_fraction, test_share)
    classes = _classes(raw.y_train)
    shares = [1 - validation_fraction - test_share, validation_fraction, test_share]
    _check_counts(raw.y_train, classes, [share for share in shares if share])
    y = _encode(raw.y_train, classes)
    rows = _indices(y, seed, validation_fraction, test_share, stratify=classes is not None)
    train, val, test = (np.sort(part) for part in rows) if isinstance(raw.x_train, Stream) else rows
    return assemble(raw, train, val, None if official else test, scale)


def split_given(raw: Raw, validation: Raw, scale: str = AUTO) -> Splits:
    """Keep a training and a validation set as they are given, and the test set of `raw`, which may have none.

    Raises:
        InputError: for data that cannot be used or do not fit together, or are not held in memory.

    """
    given = Raw(raw.x_train, raw.y_train, validation.x_train, validation.y_train, None, raw.w_train, validation.w_train)
    own = conform(raw)
    try:
        checked = conform(given)
    except InputError as error:
        raise InputError(f"validation_data, as test set: {error}") from None
    if not isinstance(checked.x_train, np.ndarray):
        raise refusal("validation_data for data that are not held in memory", type(checked.x_train).__name__, "arrays")
    w_train, w_val = (
        np.ones(len(y), np.float32) if w is None else w
        for y, w in ((checked.y_train, checked.w_train), (validation.y_train, checked.w_test))
    )
    weighted = checked.w_train is not None or checked.w_test is not None
    pool = replace(
        own,
        x_train=np.concatenate([checked.x_train, np.asarray(checked.x_test)]),
        y_train=np.concatenate([checked.y_train, np.asarray(checked.y_test)]),
        w_train=np.concatenate([w_train, w_val]) if weighted else None,
    )
    train, val = np.split(np.arange(len(pool.y_train)), [len(checked.y_train)])
    return assemble(pool, train, val, np.arange(0) if own.x_test is None else None, scale)


def assemble(
    raw: Raw, train: RowNumbers, val: RowNumbers, test: RowNumbers | None, scaling: Scalings | str = AUTO
) -> Splits:
    """Cut conforming data into the splits whose row numbers are given; `test` is None with an official test set.

    `scaling` is known already, or how to find it, as the option `scale` says.
    """
    classes = _classes(raw.y_train)
    y = _encode(raw.y_train, classes)
    x_train, w = take(raw.x_train, train), raw.w_train
    index = Index(train, val, test, raw.y_train, raw.w_train, raw.y_test, raw.w_test)
    return Splits(
        x_train=x_train,
        y_train=y[train],
        x_val=take(raw.x_train, val),
        y_val=y[val],
        x_test=raw.x_test if test is None else take(raw.x_train, test),
        y_test=y[test] if raw.y_test is None else _encode(raw.y_test, classes),
        task="regression" if classes is None else "classification",
        classes=() if classes is None else tuple(str(name) for name in classes),
        num_outputs=1 if classes is None else len(classes),
        scaling=scalings(x_train, scaling) if isinstance(scaling, str) else scaling,
        w_train=None if w is None else w[train],
        w_val=None if w is None else w[val],
        w_test=raw.w_test if test is None or w is None else w[test],
        index=None if isinstance(x_train, np.ndarray) else index,
    )


def resplit(splits: Splits, number: int) -> Splits:
    """Return another split of the same examples into training and validation set. The test set stays the same.

    Number 0 is `splits` itself. Inputs on disk stay there. The scaling is not derived anew: so losses have the same
    unit on every split, and one compiled program serves all of them.
    """
    if not number:
        return splits
    index, streamed = splits.index, isinstance(splits.x_train, Stream)
    y = np.concatenate([splits.y_train, splits.y_val])
    w = None if splits.w_train is None else np.concatenate([splits.w_train, splits.w_val])
    if index is None:
        x, place = np.concatenate([splits.x_train, splits.x_val]), np.arange(len(y))
    else:
        x, place = splits.x_train.whole, np.concatenate([index.train, index.val])
    train, val = (rows[np.argsort(place[rows])] if streamed else rows for rows in resplit_rows(splits, number))
    return replace(
        splits,
        x_train=take(x, place[train]),
        y_train=y[train],
        x_val=take(x, place[val]),
        y_val=y[val],
        w_train=None if w is None else w[train],
        w_val=None if w is None else w[val],
        index=index and replace(index, train=place[train], val=place[val]),
    )


def resplit_rows(splits: Splits, number: int) -> tuple[RowNumbers, RowNumbers]:
    """Return the examples that `resplit` trains and validates on, counted through training and validation set.

    Their numbers are drawn at random, with the sizes that the sets have, and stratified by class except for regression.
    """
    y = np.concatenate([splits.y_train, splits.y_val])
    if not number:
        train, val = np.split(np.arange(len(y)), [len(splits.y_train)])
        return train, val
    return _hold_out(np.arange(len(y)), len(splits.y_val), y, number, stratify=splits.task == "classification")


def _check_fractions(validation_fraction: float, test_fraction: float, test_share: float) -> None:
    for name, value in (("validation_fraction", validation_fraction), ("test_fraction", test_fraction)):
        if not 0 < value < 1:
            raise refusal(f"{name} is out of range", value, "above 0 and below 1")
    if validation_fraction + test_share >= 1:
        received = f"validation_fraction={validation_fraction} and test_fraction={test_share}"
        raise refusal("nothing would be left for training", received, "a sum below 1")


def _classes(y: Array) -> Array | None:
    """Return the sorted classes, or None for regression."""
    return None if label_kind(y) == "floats" else np.unique(y)


def _check_counts(y: Array, classes: Array | None, fractions: list[float]) -> None:
    # With fewer, the smallest split could lack a class. The tolerance keeps 1 / 0.2 at 5 if the fraction is a rounded
    # difference.
    least = math.ceil(1 / min(fractions) - 1e-9)
    if classes is None:
        if len(y) < least:
            raise refusal("too few examples to split", len(y), f"at least {least}")
        if (y == y[0]).all():
            raise refusal("labels have only one value", f"{y[0]:g} throughout", "two or more values")
        return
    if len(classes) < 2:
        raise refusal("labels have only one class", f"{str(classes[0])!r} throughout", "two or more classes")
    counts = np.unique(y, return_counts=True)[1]
    rarest = counts.argmin()
    if counts[rarest] < least:
        received = f"{counts[rarest]} of class {str(classes[rarest])!r}, with {len(classes)} classes"
        accepted = f"at least {least} of each class, or labels as floats for regression"
        raise refusal("too few examples of a class to split", received, accepted)


def _encode(y: Array, classes: Array | None) -> Array:
    if classes is None:
        return y.astype(np.float32)
    unseen = np.setdiff1d(y, classes)
    if unseen.size:
        raise refusal("y_test has labels that y_train lacks", listed(unseen), listed(classes))
    return np.searchsorted(classes, y).astype(np.int32)


def _indices(
    y: Array, seed: int, validation_fraction: float, test_share: float, *, stratify: bool
) -> tuple[Array, Array, Array]:
    rest, test = np.arange(len(y)), np.arange(0)
    if test_share:
        rest, test = _hold_out(rest, round(test_share * len(y)), y, seed, stratify=stratify)
    train, val = _hold_out(rest, round(validation_fraction * len(y)), y, seed, stratify=stratify)
    return train, val, test


def _hold_out(rows: Array, count: int, y: Array, seed: int, *, stratify: bool) -> tuple[Array, Array]:
    """Return what is kept and the `count` rows that are held out; `y` are the labels of all rows there are."""
    from sklearn.model_selection import train_test_split

    kept, held = train_test_split(rows, test_size=count, random_state=seed, stratify=y[rows] if stratify else None)
    return kept, held
