"""A table's columns as the inputs of a network: filled in, one-hot encoded and hashed, by its training split alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.datasets.arrays import Array, RowNumbers, finite_float32
from pipeline.datasets.columns import MAX_CATEGORIES
from pipeline.errors import refusal
from pipeline.lr_pipeline_model.columns import DECIMAL_COMMA, Column, Columns, numbers, typed

HASHED = 256
"""Features that a column of free text is hashed into."""

_EXAMPLES = 5
_RESOLVED = 1e-4
"""The share of a column's standard deviation that float32 should resolve where it merges values."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table that is not encoded yet.

    Attributes:
        frame: the columns as they were given, without the labels; a pandas DataFrame.
        known: how those are read that are of use.
        said: what is to be said of the others, and of the file.

    """

    frame: Any
    known: Mapping[str, Column]
    said: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.frame)


def encode(table: Table, train: RowNumbers, *, hash_text: bool = False) -> tuple[Array, Columns, dict[str, str]]:
    """Fit the encoding on the training rows, and encode all rows.

    Args:
        table: the table.
        train: the numbers of the training rows.
        hash_text: whether free text is hashed; else it is left out.

    Returns:
        inputs, float32 [n, features], what encoded them, and what was done to each column in words.

    Raises:
        InputError: if no column is of use, or a value is not finite.

    """
    known = {name: column for name, column in table.known.items() if hash_text or column.kind != "text"}
    said = {**{name: "left out (free text)" for name in table.known if name not in known}, **table.said}
    if not known:
        received = "; ".join(f"{name!r} {what}" for name, what in list(said.items())[:5])
        raise refusal("the table has no usable features", received, "a column of numbers, dates or categories")
    values = _finite(table, known)
    fitted = _transformer(values, values.iloc[train], known).fit(values.iloc[train])
    columns = Columns(known, fitted, _names(fitted), _plain(table.frame[list(known)].iloc[train[:_EXAMPLES]], known))
    x = fitted.transform(values).astype(np.float32)
    said |= _words(known, values, fitted)
    return x, columns, {str(name): said[name] for name in (*table.frame.columns, *said)}


def encode_alike(table: Table, columns: Columns) -> Array:
    """Encode the rows of another table as those of the one that `columns` are of.

    Raises:
        InputError: if a value is not finite.

    """
    return np.asarray(columns.transformer.transform(_finite(table, columns.known)), np.float32)


def _finite(table: Table, known: Mapping[str, Column]) -> Any:
    values = typed(table.frame, known)
    numeric = values.select_dtypes("number").fillna(0.0)
    finite_float32(numeric.to_numpy(), "the table", tuple(map(str, numeric)))
    return values


def _transformer(values: Any, training: Any, known: Mapping[str, Column]) -> Any:
    """Return a `ColumnTransformer` that is not fitted yet."""
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.impute import MissingIndicator, SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    kinds = {kind: [name for name in known if known[name].kind == kind] for kind in ("category", "text")}
    numeric = [name for name in known if known[name].kind in ("number", "date")]
    centred = [name for name in numeric if _merged(training[name].to_numpy())]
    cyclic = [name for name in values if name not in known]
    median = {"strategy": "median", "add_indicator": True, "keep_empty_features": True}
    frequent = SimpleImputer(strategy="most_frequent", missing_values="", keep_empty_features=True)
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES, sparse_output=False, dtype=np.float32
    )
    parts = [
        ("numbers", SimpleImputer(**median), [name for name in numeric if name not in centred]),
        ("centred", make_pipeline(StandardScaler(with_std=False), SimpleImputer(**median)), centred),
        ("cyclic", SimpleImputer(strategy="constant", fill_value=0.0), cyclic),
        ("categories", make_pipeline(frequent, one_hot), kinds["category"]),
        ("missing", MissingIndicator(missing_values="", error_on_new=False), kinds["category"]),
        *((f"text {at}", HashingVectorizer(n_features=HASHED), name) for at, name in enumerate(kinds["text"])),
    ]
    return ColumnTransformer([part for part in parts if len(part[2])], sparse_threshold=0)


def _merged(values: Array) -> bool:
    """Return whether float32 merges values that differ by no small share of their standard deviation."""
    given = values[~np.isnan(values)]
    if not len(given):
        return False
    coarse = given.astype(np.float32)
    step = float(np.spacing(np.abs(coarse).max()))
    return bool(_RESOLVED * given.std() < step) and len(np.unique(coarse)) < len(np.unique(given))


def _names(fitted: Any) -> tuple[str, ...]:
    """Return the names of the features, in their order."""

    def named() -> Iterator[str]:
        for part, transformer, columns in fitted.transformers_:
            if part in ("numbers", "centred"):
                imputer = transformer if part == "numbers" else transformer[-1]
                yield from (*columns, *(f"{columns[at]}=missing" for at in imputer.indicator_.features_))
            elif part == "cyclic":
                yield from columns
            elif part == "categories":
                encoder = transformer[-1]
                for name, all_of, rare in zip(columns, encoder.categories_, _rare(encoder), strict=True):
                    yield from (f"{name}={value}" for value in all_of if value not in rare)
                    yield from (f"{name}=others" for _ in rare[:1])
            elif part == "missing":
                yield from (f"{columns[at]}=missing" for at in transformer.features_)
            elif part != "remainder":
                yield from (f"{columns}=hash {at}" for at in range(HASHED))

    return tuple(str(name) for name in named())


def _rare(encoder: Any) -> list[list[str]]:
    return [[] if rare is None else list(rare) for rare in encoder.infrequent_categories_]


def _words(known: Mapping[str, Column], values: Any, fitted: Any) -> Iterator[tuple[str, str]]:
    """Yield each column with what was done to it."""
    for part, transformer, names in fitted.transformers_:
        if part in ("numbers", "centred"):
            scaler, imputer = transformer if part == "centred" else (None, transformer)
            marked = set(imputer.indicator_.features_.tolist())
            for at, name in enumerate(names):
                mean = 0.0 if scaler is None else float(scaler.mean_[at])
                words = _kind(known[name])
                if missing := int(values[name].isna().sum()):
                    words += f", {missing} missing, filled in with the median {imputer.statistics_[at] + mean:g}"
                    words += " and marked" if at in marked else ""
                yield (
                    name,
                    words if scaler is None else f"{words}, less its mean {mean:.10g}, as float32 merges its values",
                )
        elif part == "categories":
            for at, name in enumerate(names):
                is_marked = at in fitted.named_transformers_["missing"].features_
                yield name, _category_words(transformer, at, int((values[name] == "").sum()), marked=is_marked)
        elif part.startswith("text"):
            yield names, f"free text, hashed into {HASHED} features"


def _kind(column: Column) -> str:
    if column.kind == "number":
        return "number with decimal comma" if column.form == DECIMAL_COMMA else "number"
    return "date, as days since 1970" + (f", and {', '.join(column.parts)} as sine and cosine" if column.parts else "")


def _category_words(transformer: Any, at: int, missing: int, *, marked: bool) -> str:
    imputer, encoder = transformer
    rare = _rare(encoder)[at]
    words = f"category of {len(encoder.categories_[at])}" + (f", the {len(rare)} rarest as one" if rare else "")
    if missing:
        words += f", {missing} missing, filled in with the most frequent {str(imputer.statistics_[at])!r}"
    return words + (" and marked" if marked else "")


def _plain(frame: Any, known: Mapping[str, Column]) -> Any:
    """Return rows as numbers and text: dates as text, as a `.csv` has them, and JSON."""
    from pandas.api import types

    def plain(column: Any) -> Any:
        if types.is_numeric_dtype(column):  # booleans too
            return column
        own = known[column.name]
        return numbers(column, own.form) if own.kind == "number" else column.astype("string").astype(object)

    return frame.apply(plain).reset_index(drop=True)
