"""Splitting into training, validation and test sets, and label codes."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.datasets.arrays import Array, Index, Output, Raw, RowNumbers, Scalings, Splits, pack
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
    """Split `raw` at random by `seed`, stratified by class if each example has one, of several outputs by the first's.

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
    rows = _indices(_encode(raw.y_train, classes, "y_train"), seed, val_share, test_share)
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
        **_described(raw, classes),
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
    return _hold_out(np.arange(len(y)), len(splits.y_val), _strata(y), number)


def _check_fractions(validation_fraction: float, test_fraction: float, held_out: float) -> None:
    if not 0 < validation_fraction < 1:
        raise refusal("validation_fraction is out of range", validation_fraction, "above 0 and below 1")
    if not 0 <= test_fraction < 1:
        raise refusal("test_fraction is out of range", test_fraction, "0 or above, and below 1")
    if held_out >= 1:
        received = f"validation_fraction={validation_fraction} and test_fraction={test_fraction}"
        raise refusal("nothing would be left for training", received, "a sum below 1")


def _classes(y: Array) -> Any:
    """Return the sorted classes, or None where an example has no class; of several outputs a dictionary of these."""
    if y.dtype.names:
        return {name: _classes(y[name]) for name in y.dtype.names}
    return np.unique(y) if task_of(y) == "classification" else None


def _described(raw: Raw, classes: Any) -> dict[str, Any]:
    """Return the fields of `Splits` that say what the labels are."""
    if not isinstance(classes, dict):
        return dict(_output(raw.y_train, classes, raw.label_names))
    outputs = {name: _output(raw.y_train[name], own) for name, own in classes.items()}
    widths = {name: output.num_outputs for name, output in outputs.items()}
    return {"task": task_of(raw.y_train), "classes": (), "num_outputs": widths, "outputs": outputs}


def _output(y: Array, classes: Array | None, label_names: tuple[str, ...] | None = None) -> Output:
    """Describe what labels are; classes have names, and several labels an example too, but values have none."""
    task = task_of(y)
    if classes is not None:
        return Output(task=task, num_outputs=len(classes), classes=tuple(map(str, classes)))
    width = y[:1].size
    names = tuple(map(str, label_names or range(width))) if task == "multi_label" else ()
    return Output(task=task, num_outputs=width, classes=names)


def _check_counts(y: Array, classes: Any, fractions: list[float], of: str = "") -> None:
    # With fewer, the smallest split could lack a class. The tolerance keeps 1 / 0.2 at 5 if the fraction is a rounded
    # difference.
    if isinstance(classes, dict):
        for name, own in classes.items():
            _check_counts(y[name], own, fractions, of=f" of output {name!r}")
        return
    least = math.ceil(1 / min(fractions) - 1e-9)
    if classes is None:
        if len(y) < least:
            raise refusal("too few examples to split", len(y), f"at least {least}")
        if (y == y[0]).all():
            raise refusal(
                f"labels{of} have only one value",
                f"{', '.join(f'{value:g}' for value in np.ravel(y[0]))} throughout",
                "two or more values",
            )
        return
    if len(classes) < 2:
        raise refusal(f"labels{of} have only one class", f"{str(classes[0])!r} throughout", "two or more classes")
    counts = np.unique(y, return_counts=True)[1]
    rarest = counts.argmin()
    if counts[rarest] < least:
        received = f"{counts[rarest]} of class {str(classes[rarest])!r}{of}, with {len(classes)} classes"
        accepted = f"at least {least} of each class, or {'floats' if of else 'task=regression'}"
        raise refusal("too few examples of a class to split", received, accepted)


def _encode(y: Array, classes: Any, name: str) -> Array:
    if isinstance(classes, dict):
        return pack({output: _encode(y[output], own, f"{name}[{output!r}]") for output, own in classes.items()}, name)
    if classes is None:
        return y.astype(np.float32)
    unseen = np.setdiff1d(y, classes)
    if unseen.size:
        raise refusal(f"{name} has labels that y_train lacks", listed(unseen), listed(classes))
    return np.searchsorted(classes, y).astype(np.int32)


def _indices(y: Array, seed: int, validation_fraction: float, test_share: float) -> tuple[Array, Array, Array]:
    rest, test, strata = np.arange(len(y)), np.arange(0), _strata(y)
    if test_share:
        rest, test = _hold_out(rest, round(test_share * len(y)), strata, seed)
    train, val = rest, rest[:0]
    if validation_fraction:
        train, val = _hold_out(rest, round(validation_fraction * len(y)), strata, seed)
    return train, val, test


def _strata(y: Array) -> Array | None:
    """Return the class numbers to stratify by, among encoded labels: those of the first output that has any."""
    outputs = [y[name] for name in y.dtype.names] if y.dtype.names else [y]
    return next((labels for labels in outputs if labels.dtype.kind == "i"), None)


def _hold_out(rows: Array, count: int, strata: Array | None, seed: int) -> tuple[Array, Array]:
    """Return what is kept and the `count` rows that are held out, drawn by the class of each row there is, or not."""
    from sklearn.model_selection import train_test_split

    stratify = None if strata is None else strata[rows]
    kept, held = train_test_split(rows, test_size=count, random_state=seed, stratify=stratify)
    return kept, held
