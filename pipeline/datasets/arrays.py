"""Raw data, data split for training, and checks of the arrays of both."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from pipeline.errors import listed, refusal

Array = npt.NDArray[Any]
RowNumbers = npt.NDArray[np.int64]

Inputs = Any
"""An `Array`, or, if the data are too large for memory, `Rows` or a `Stream`. Both have `shape`, `dtype`, `ndim`,
`len`, `take(rows)` and `blocks()`. Typed as `Any`, since nearly all code only meets arrays."""

Task = Literal["classification", "regression", "multi_label", "several"]
"""What is predicted; "several" is a network with several outputs, each with a task of its own."""

_STRICT = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Scaling(BaseModel):
    """How raw inputs become network inputs: `(x - offset) / scale`, by training statistics.

    `offset` and `scale` hold one number (images) or one per feature (tables). `kind` says how they were found; `codes`
    are the features that stay as they are because the network looks them up. `asked` is set if the user chose the kind,
    which then holds for codes too. Texts cannot be scaled, and are of kind "text".
    """

    model_config = _STRICT

    offset: tuple[float, ...]
    scale: tuple[float, ...]
    kind: Literal["none", "largest", "standard", "text"] = "standard"
    codes: tuple[int, ...] = ()
    asked: bool = False


InputShape = tuple[int, ...] | dict[str, tuple[int, ...]]
"""The shape of one example without the batch axis; of each input by name if there are several."""

Scalings = Scaling | dict[str, Scaling]
"""One scaling, or one of each input by name."""

Widths = int | dict[str, int]
"""The number of classes or values, or that of each output by name if there are several."""


class Output(BaseModel):
    """What one of several outputs predicts; the fields are as those of `Splits`."""

    model_config = _STRICT

    task: Task
    num_outputs: int
    classes: tuple[str, ...]


class PrepareResult(BaseModel):
    """The data after splitting.

    `digests` maps each artifact to its SHA-256, and `columns` each column of a table to what became of it.
    `validation_given` says whether the validation set is the source's own, which cannot be drawn anew.
    """

    model_config = _STRICT

    data: str
    task: Task
    input_shape: InputShape
    num_outputs: Widths
    classes: tuple[str, ...]
    train_examples: int
    validation_examples: int
    test_examples: int
    scaling: Scalings
    digests: dict[str, str]
    columns: dict[str, str] = {}
    validation_given: bool = False
    outputs: dict[str, Output] = {}

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the updates in a pass over the training set."""
        return -(-self.train_examples // batch_size)


# Comparing arrays with == gives an array, so a generated __eq__ would raise: eq=False keeps identity.
@dataclass(frozen=True, eq=False)
class Raw:
    """Data as a source gives it, before splitting.

    `x_*` are images, uint8 or float32 [n, height, width, channels], tables, float32 [n, features], or texts, as UTF-8
    bytes of one width, [n] or [n, 1]. `y_*` are labels [n]: integers, booleans or text for classification, floats for
    regression; or [n, k]: floats for several values to predict, uint8 of 0 and 1 for several labels an example, which
    `label_names` may name. `w_*` are the examples' weights in the loss, float32 [n], or None. `x_test` and `y_test` are
    an official test set, `x_val` and `y_val` a validation set, or None. `columns` says what became of each column of
    the source. Several inputs per example are the fields of a structured array [n], and so are labels for several
    outputs. A table from a file or a DataFrame is a `Table` until it is split, in place of each `x_*`.

    Until `conform` has read it, a data set that is read in passes is a `Reader`, in place of both x and y.
    """

    x_train: Inputs
    y_train: Array
    x_test: Inputs | None = None
    y_test: Array | None = None
    w_train: Array | None = None
    w_test: Array | None = None
    columns: Mapping[str, str] | None = None
    x_val: Inputs | None = None
    y_val: Array | None = None
    w_val: Array | None = None
    label_names: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Index:
    """The row numbers of splits whose inputs stay on disk, and the labels that show whether the source has changed.

    `train`, `val` and `test` are row numbers; None for a validation or test set that the source gives. `labels`,
    `weights` and those of the given sets cover the whole source, in its order.
    """

    train: RowNumbers
    val: RowNumbers | None
    test: RowNumbers | None
    labels: Array
    weights: Array | None = None
    labels_val: Array | None = None
    weights_val: Array | None = None
    labels_test: Array | None = None
    weights_test: Array | None = None


@dataclass(frozen=True, eq=False)
class Splits:
    """Data ready for training: three disjoint sets, labels encoded, inputs still unscaled.

    `x_*` are as in `Raw`. `y_*` [n] are int32 codes into `classes`, or float32 values for regression, [n] or [n, k],
    where `classes` is empty, or with several labels an example float32 [n, k] of 0 and 1. `w_*` [n] are float32
    weights, or None. `num_outputs` is the width of the network's last layer: the number of classes, or of values. The
    network's input is `(x - scaling.offset) / scaling.scale`; with several inputs, `scaling` is a dictionary by name.
    `index` is set if the inputs are not held in memory, `label_scaling` if the `y_*` are `(label - offset) / scale`,
    and `class_weights` if training examples, of any split, also count by the weight of their class.
    `columns` says what became of each column of the source, and `encoder`, `Columns`, is what encoded those of a table;
    neither is stored with the splits. With several outputs, the labels of each are a field of `y_*`, `num_outputs` is a
    dictionary by name, and `outputs` describes each.
    """

    x_train: Inputs
    y_train: Array
    x_val: Inputs
    y_val: Array
    x_test: Inputs
    y_test: Array
    task: Task
    classes: tuple[str, ...]
    num_outputs: Any
    scaling: Any
    w_train: Array | None = None
    w_val: Array | None = None
    w_test: Array | None = None
    index: Index | None = None
    label_scaling: Scaling | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    encoder: Any = None
    class_weights: tuple[float, ...] | None = None
    outputs: Mapping[str, Output] = field(default_factory=dict)


def by_output(splits: Splits) -> dict[str, Splits]:
    """Return the data with the labels of each output alone, by name; "" is the name of a single one."""
    if not splits.outputs:
        return {"": splits}
    own = {
        name: {part: getattr(splits, part)[name] for part in ("y_train", "y_val", "y_test")} for name in splits.outputs
    }
    return {name: replace(splits, **own[name], **dict(one), outputs={}) for name, one in splits.outputs.items()}


def pack(parts: Mapping[str, Array], what: str) -> Array:
    """Return one array [n] with a field for each part; `what` they are is said in errors.

    Raises:
        InputError: if they differ in length.

    """
    if len({len(values) for values in parts.values()}) != 1:
        received = ", ".join(f"{part} {len(values)}" for part, values in parts.items())
        raise refusal(f"{what} differ in length", received, "the same number of examples of each")
    dtype = np.dtype([(part, values.dtype, values.shape[1:]) for part, values in parts.items()])
    packed = np.empty(len(next(iter(parts.values()))), dtype)
    for part, values in parts.items():
        packed[part] = values
    return packed


def check_names(parts: Mapping[Any, Any], name: str) -> None:
    """Raise InputError unless the inputs or outputs of the set `name` are named by text."""
    if not parts or not all(isinstance(part, str) and part for part in parts):
        raise refusal(f"{name} has unusable names", listed(parts) or "none", "name -> array, names as text")


def named(x: Inputs) -> Any:
    """Return inputs or labels as Keras takes them: name -> array if there are several, else as they are."""
    return {name: x[name] for name in x.dtype.names} if x.dtype.names else x


def input_shape(x: Inputs) -> InputShape:
    """Return the shape of one example, or name -> shape if there are several inputs."""
    return {name: x.dtype[name].shape for name in x.dtype.names} if x.dtype.names else x.shape[1:]


def text_inputs(x: Inputs) -> frozenset[str]:
    """Return the names of those inputs that are texts; "" is the name of a single one."""
    if x.dtype.names:
        return frozenset(name for name in x.dtype.names if x.dtype[name].base.kind == "S")
    return frozenset({""} if x.dtype.kind == "S" else ())


_X_KINDS = (
    "numbers or booleans, as [n, features], [n, height, width] or [n, height, width, channels], or texts [n] or [n, 1]"
)
_MOST_TEXT = 2**30


def check_inputs(x: Array, name: str) -> None:
    """Raise InputError unless `x` is of a type and shape that can become inputs."""
    if x.dtype.kind not in "biuf":
        raise refusal(f"{name} has unusable values", f"dtype {x.dtype}", _X_KINDS)
    if x.ndim not in (2, 3, 4):
        raise refusal(f"{name} has an unusable shape", x.shape, _X_KINDS)
    if x.size == 0:
        raise refusal(f"{name} is empty", f"shape {x.shape}", "at least one example, and one value in each")


def plain_texts(x: Array, name: str) -> Array:
    """Return texts, [n] or [n, 1], in UTF-8, all as wide as the longest."""
    texts: list[Any] = x.ravel().tolist()
    if x.ndim not in (1, 2) or x.size != len(x) or not all(isinstance(text, str | bytes) for text in texts):
        raise refusal(f"{name} has unusable values", f"dtype {x.dtype}, shape {x.shape}", _X_KINDS)
    if not texts:
        raise refusal(f"{name} is empty", f"shape {x.shape}", "at least one text")
    if x.dtype.kind == "S":
        return x
    try:
        encoded = [text.encode() if isinstance(text, str) else text for text in texts]
    except UnicodeError as error:
        raise refusal(f"{name} has unusable values", "text that is not Unicode", _X_KINDS) from error
    longest = max(map(len, encoded))
    if longest * len(encoded) > _MOST_TEXT:
        received = f"{len(encoded):,} texts of which the longest has {longest:,} bytes"
        raise refusal(f"{name} is too large", received, f"at most {_MOST_TEXT:,} bytes if all were as long: cut them")
    return np.array(encoded, "S").reshape(x.shape)


def are_bytes(x: Array) -> bool:
    """Return whether `x` are images whose every value is an integer from 0 to 255."""
    return x.ndim > 2 and x.dtype.kind in "biu" and bool(x.min() >= 0 and x.max() <= 255)


def plain_weights(w: Array, name: str) -> Array:
    """Return weights as float32 [n]: finite, none negative, not all zero."""
    if w.dtype.kind not in "biuf" or w.ndim not in (1, 2) or w.size != len(w):
        raise refusal(f"{name} are unusable", f"dtype {w.dtype}, shape {w.shape}", "one number per example")
    w = finite_float32(w.reshape(-1), name)
    if w.min(initial=0) < 0 or not w.any():
        raise refusal(f"{name} are unusable", f"{w.min():.3g} to {w.max():.3g}", "none below 0, at least one above")
    return w


def finite_float32(values: Array, name: str, feature_names: tuple[str, ...] | None = None, first: int = 0) -> Array:
    """Return values as float32; raise InputError if any is not finite. `first` is the number of the first example."""
    with np.errstate(over="ignore"):  # what overflows float32 becomes infinite and is refused below
        values = values.astype(np.float32, copy=False)
    finite = np.isfinite(values)
    if finite.all():
        return values
    at = np.unravel_index(np.argmin(finite), finite.shape)
    where = f"example {first + at[0]}" + (f", feature {feature_names[at[1]]!r}" if feature_names else "")
    count = values.size - np.count_nonzero(finite)
    raise refusal(f"{name} has unusable values", f"{count} NaN or infinite, first in {where}", "finite float32 values")
