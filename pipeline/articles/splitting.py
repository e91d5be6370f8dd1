"""The data, split as in the articles."""

from dataclasses import replace

import numpy as np

from pipeline.articles.experiment import Article
from pipeline.datasets import PrepareResult, Raw, Splits, split
from pipeline.datasets.splits import assemble
from pipeline.errors import InputError

_KEPT = 0.8
"""The fraction that article b trains on; its `validation_split` holds out the rest."""


def as_published(raw: Raw) -> bool:
    """Return whether the articles' splits are possible: they need an official test set."""
    return raw.x_test is not None


def refuse_unusable(prepared: PrepareResult, article: str) -> None:
    """Check that the experiments can use the data, before hours are spent on searches.

    Raises:
        InputError: the labels are not classes, or article b's networks would not get images.

    """
    if prepared.task != "classification":
        raise InputError("data: received labels that are floats, expected classes, as both articles have them")
    shape = prepared.input_shape
    if article != "a" and len(shape) != 3:
        raise InputError(f"data: received inputs of shape {shape}, expected images for article b, or article=a")


def split_as_articles(raw: Raw, article: Article, seed: int) -> Splits:
    """Split the data as the article does, or at random if the source has no official test set.

    Article a trains on the whole training set and validates on the test set. Article b holds out the last fifth of the
    training set, as Keras' `validation_split` does, which never shuffles.

    Raises:
        InputError: the data cannot be used.

    """
    if not as_published(raw):
        return split(raw, seed)
    rows = np.arange(len(raw.y_train))
    first = int(len(rows) * _KEPT)  # Keras rounds down too
    if article == "b":
        return assemble(raw, rows[:first], rows[first:], None)
    whole = assemble(raw, rows, rows[first:], None)
    return replace(whole, x_val=whole.x_test, y_val=whole.y_test, w_val=whole.w_test)
