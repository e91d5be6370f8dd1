"""Splitting into training, validation and test sets, and label codes."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.datasets.arrays import Array, Index, Raw, RowNumbers, Scalings, Splits
from pipeline.datasets.conform import conform
from pipeline.datasets.encoding import Table, encode, encode_alike
from pipeline.datasets.labels import TASK_AUTO, task_of
from pipeline.datasets.large import take
from pipeline.datasets.scaling import scalings
from pipeline.datasets.streams import Stream
from pipeline.errors import listed, refusal
from pipeline.scale import AUTO


def split(
    raw: Raw,
    seed: int,
    validation_fraction: float = 0.2,
    test_fraction: float = 0.2,
    *,
    scale: str = AUTO,
    hash_text: bool = False,
    task: str = TASK_AUTO,
) -> Splits:
    """Split `raw` at random by `seed`, stratified by class if each example has one.

    A validation or test set of the source's own is kept as it is. The fractions of the others apply to all training
    data. Scaling comes from the training split alone.

    Args:
        raw: the data, which are checked, since they need not come from `load`.
        seed: from 0 to 2**32 - 1; the same data and seed give the same splits.
        validation_fraction: above 0 and below 1, unused if the source has a validation set.
        test_fraction: below 1, unused if the source has a test set; 0 leaves the test set empty. The fractions used
            sum to less than 1.
        scale: how inputs are scaled, as the option of that name.
        hash_text: whether free text in a table is hashed; else it is left out.
        task: what the labels are, as the option of that name.

    Raises:
        InputError: for data or fractions that cannot be used, or too few examples in total or of one class.

    """
    raw = conform(raw, task)
    own_validation, own_test = raw.x_val is not None, raw.x_test is not None
    val_share, test_share = 0.0 if own_validation else validation_fraction, 0.0 if own_test else test_fraction
    _check_fractions(validation_fraction, test_fraction, val_share + test_share)
    classes = _classes(raw.y_train)
    shares = [1 - val_share - test_share, val_share, test_share]
    _check_counts(raw.y_train, classes, [share for share in shares if share])
    y = _encode(raw.y_train, classes, "y_train")
    rows = _indices(y, seed, val_share, test_share, stratify=classes is not None)
    train, val, test = (np.sort(part) for part in rows) if isinstance(raw.x_train, Stream) else rows
    encoder = None
    if isinstance(raw.x_train, Table):
        x, encoder, said = encode(raw.x_train, train, hash_text=hash_text)
        given = {name: table for name, table in (("x_val", raw.x_val), ("x_test", raw.x_test)) if table is not None}
        others: dict[str, Any] = {name: encode_alike(table, encoder) for name, table in given.items()}
        raw = replace(raw, x_train=x, **others, columns={**(raw.columns or {}), **said})
    splits = assemble(raw, train, None if own_validation else val, None if own_test else test, scale)
    return replace(splits, encoder=encoder)


def assemble(
    raw: Raw, train: RowNumbers, val: RowNumbers | None, test: RowNumbers | None, scaling: Scalings | str = AUTO
) -> Splits:
    """Cut conforming data into the splits whose row numbers are given; None stands for a set that the source gives.

    `scaling` is known already, or how to find it, as the option `scale` says.
    """
    classes = _classes(raw.y_train)
    y = _encode(raw.y_train, classes, "y_train")

    def cut(part: str, rows: RowNumbers | None) -> dict[str, Any]:
        if rows is None:
            x, labels, w = (getattr(raw, f"{letter}_{part}") for letter in "xyw")
            labels = _encode(labels, classes, f"y_{part}")
        else:
            x, labels, w = take(raw.x_train, rows), y[rows], None if raw.w_train is None else raw.w_train[rows]
        return {f"x_{part}": x, f"y_{part}": labels, f"w_{part}": w}

    sets = {**cut("train", train), **cut("val", val), **cut("test", test)}
    held, given = isinstance(sets["x_train"], np.ndarray), (raw.y_val, raw.w_val, raw.y_test, raw.w_test)
    return Splits(
        **sets,
        task=task_of(raw.y_train),
        classes=_names(raw, classes),
        num_outputs=y[:1].size if classes is None else len(classes),
        scaling=scalings(sets["x_train"], scaling) if isinstance(scaling, str) else scaling,
        index=None if held else Index(train, val, test, raw.y_train, raw.w_train, *given),
        columns=raw.columns or {},
    )


def resplit(splits: Splits, number: int) -> Splits:
    """Return another split of the same examples into training and validation set. The test set stays the same.

    Number 0 is `splits` itself. Inputs on disk stay there. Scaling and a table's encoding are not derived anew: so
    losses have the same unit on every split, and one compiled program serves all of them.
    """
    if not number:
        return splits
    index, streamed = splits.index, isinstance(splits.x_train, Stream)
    if index is not None and index.val is None:
        raise ValueError("resplit: received a validation set of the source's own, expected one that was drawn")
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

    Their numbers are drawn at random, with the sizes that the sets have, stratified by class if each example has one.
    """
    y = np.concatenate([splits.y_train, splits.y_val])
    if not number:
        train, val = np.split(np.arange(len(y)), [len(splits.y_train)])
        return train, val
    return _hold_out(np.arange(len(y)), len(splits.y_val), y, number, stratify=splits.task == "classification")


def _check_fractions(validation_fraction: float, test_fraction: float, held_out: float) -> None:
    if not 0 < validation_fraction < 1:
        raise refusal("validation_fraction is out of range", validation_fraction, "above 0 and below 1")
    if not 0 <= test_fraction < 1:
        raise refusal("test_fraction is out of range", test_fraction, "0 or above, and below 1")
    if held_out >= 1:
        received = f"validation_fraction={validation_fraction} and test_fraction={test_fraction}"
        raise refusal("nothing would be left for training", received, "a sum below 1")


def _classes(y: Array) -> Array | None:
    """Return the sorted classes, or None where an example has no class."""
    return np.unique(y) if task_of(y) == "classification" else None


def _names(raw: Raw, classes: Array | None) -> tuple[str, ...]:
    """Return what the outputs of a classification are called; nothing for a regression."""
    if classes is None:
        names = raw.label_names or range(raw.y_train[:1].size)
        return tuple(map(str, names)) if task_of(raw.y_train) == "multi_label" else ()
    return tuple(map(str, classes))


def _check_counts(y: Array, classes: Array | None, fractions: list[float]) -> None:
    # With fewer, the smallest split could lack a class. The tolerance keeps 1 / 0.2 at 5 if the fraction is a rounded
    # difference.
    least = math.ceil(1 / min(fractions) - 1e-9)
    if classes is None:
        if len(y) < least:
            raise refusal("too few examples to split", len(y), f"at least {least}")
        if (y == y[0]).all():
            raise refusal(
                "labels have only one value",
                f"{', '.join(f'{value:g}' for value in np.ravel(y[0]))} throughout",
                "two or more values",
            )
        return
    if len(classes) < 2:
        raise refusal("labels have only one class", f"{str(classes[0])!r} throughout", "two or more classes")
    counts = np.unique(y, return_counts=True)[1]
    rarest = counts.argmin()
    if counts[rarest] < least:
        received = f"{counts[rarest]} of class {str(classes[rarest])!r}, with {len(classes)} classes"
        accepted = f"at least {least} of each class, or task=regression"
        raise refusal("too few examples of a class to split", received, accepted)


def _encode(y: Array, classes: Array | None, name: str) -> Array:
    if classes is None:
        return y.astype(np.float32)
    unseen = np.setdiff1d(y, classes)
    if unseen.size:
        raise refusal(f"{name} has labels that y_train lacks", listed(unseen), listed(classes))
    return np.searchsorted(classes, y).astype(np.int32)


def _indices(
    y: Array, seed: int, validation_fraction: float, test_share: float, *, stratify: bool
) -> tuple[Array, Array, Array]:
    rest, test = np.arange(len(y)), np.arange(0)
    if test_share:
        rest, test = _hold_out(rest, round(test_share * len(y)), y, seed, stratify=stratify)
    train, val = rest, rest[:0]
    if validation_fraction:
        train, val = _hold_out(rest, round(validation_fraction * len(y)), y, seed, stratify=stratify)
    return train, val, test


def _hold_out(rows: Array, count: int, y: Array, seed: int, *, stratify: bool) -> tuple[Array, Array]:
    """Return what is kept and the `count` rows that are held out; `y` are the labels of all rows there are."""
    from sklearn.model_selection import train_test_split

    kept, held = train_test_split(rows, test_size=count, random_state=seed, stratify=y[rows] if stratify else None)
    return kept, held
