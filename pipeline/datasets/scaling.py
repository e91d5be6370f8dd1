"""The inputs' scaling: chosen by the user or by the kind of data, found in the training split, and put in words."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pipeline.datasets.arrays import Array, Inputs, Scaling, Scalings, Splits, by_output, text_inputs
from pipeline.datasets.large import blocks
from pipeline.errors import listed, refusal
from pipeline.scale import AUTO, NONE, STANDARD, parse_scale

_FAR = 30.0
"""Labels beyond this, or all within its inverse, are far from what a network gives before it is trained."""


_FEW, _MANY_EACH = 20, 5
"""At most so many distinct whole numbers, each this often on average, look like classes."""


def scalings(x_train: Inputs, scale: str = AUTO) -> Scalings:
    """How to scale the inputs, each by itself where there are several.

    Raises:
        InputError: if `scale` names an input that there is not.

    """
    way, own = parse_scale(scale)
    names = x_train.dtype.names or ()
    if unknown := [name for name in own if name not in names]:
        raise refusal(
            "scale names an unknown input", listed(unknown), listed(names) or "one way, as there is one input"
        )
    if not names:
        return derive_scaling(x_train, way)
    return {name: derive_scaling(x_train[name], own.get(name, way)) for name in names}


def derive_scaling(x_train: Inputs, way: str = AUTO) -> Scaling:
    """Derive how to scale inputs from the training split alone.

    By itself: uint8 images are divided by 255, or by their maximum if that is under 128: the image has fewer grey
    levels than its type (8x8 digits: 16). Float images without negative values are divided by their maximum; others
    are standardised by one mean and deviation. Tables are standardised feature by feature; a constant feature has
    scale 1.
    """
    if text_inputs(x_train):
        return Scaling(offset=(0.0,), scale=(1.0,), kind="text")
    if way == NONE:
        return Scaling(offset=(0.0,), scale=(1.0,), kind="none", asked=True)
    if way == STANDARD or x_train.ndim == 2:
        return _standardising(x_train, asked=way == STANDARD)
    peak = max(float(block.max()) for block in blocks(x_train))
    if x_train.dtype == np.uint8:
        return Scaling(offset=(0.0,), scale=(255.0 if peak >= 128 else peak or 1.0,), kind="largest")
    if min(float(block.min()) for block in blocks(x_train)) >= 0:
        return Scaling(offset=(0.0,), scale=(peak or 1.0,), kind="largest")
    return _standardising(x_train, asked=False)


def with_scaled_labels(splits: Splits) -> Splits:
    """Return the data of a regression with labels, each by itself, of mean 0 and deviation 1 on the training split.

    Raises:
        InputError: if the labels are classes.

    """
    if splits.task != "regression":
        what = "for several outputs" if splits.outputs else "that are classes"
        raise refusal("scale_labels", f"true for labels {what}", "false, or labels that are decimal numbers")
    mean, deviation = _moments(splits.y_train)
    deviation = np.where(deviation, deviation, 1.0)
    scaled = {
        name: ((getattr(splits, name).astype(np.float64) - mean) / deviation).astype(np.float32)
        for name in ("y_train", "y_val", "y_test")
    }
    own = Scaling(offset=tuple(mean.tolist()), scale=tuple(deviation.tolist()), kind="standard", asked=True)
    return replace(splits, label_scaling=own, **scaled)


def far_labels(splits: Splits) -> str:
    """Say where the labels of a regression lie if that is far from zero and one, and what to do; else return ""."""
    if splits.outputs:
        found = {name: _far(own) for name, own in by_output(splits).items()}
        far = "; ".join(f"output {name!r}: {where}" for name, where in found.items() if where)
        return far and f"labels lie far from zero and one ({far}): scale them, or set loss_weights"
    far = _far(splits)
    results = "predictions" if splits.y_train.ndim > 1 else "losses and predictions"
    ways = f"scale_labels=true scales them for the training, and gives {results} in their own units"
    return far and f"the labels lie far from zero and one ({far}): {ways}"


def _far(splits: Splits) -> str:
    """Return where the labels of a regression lie if that is far from zero and one."""
    if splits.task != "regression":
        return ""
    mean, deviation = _moments(splits.y_train)
    reach = np.maximum(np.abs(mean), deviation)
    far = (reach < 1 / _FAR) | (reach > _FAR)
    if not far.any():
        return ""
    at = int(far.argmax())
    which = f"value {at}: " if len(far) > 1 else ""
    return f"{which}mean {mean[at]:,.6g}, standard deviation {deviation[at]:,.4g}"


def few_values(splits: Splits) -> str:
    """Say so if the labels of a regression look like classes: few whole values; else return ""."""
    found = {name: _few(own) for name, own in by_output(splits).items()}
    labels = ", ".join(f"{shown} of output {name!r}" if name else shown for name, shown in found.items() if shown)
    way = "write integers or text" if splits.outputs else "write whole numbers, or pass task=classification"
    return labels and f"labels {labels}: regression; for classes {way}"


def _few(splits: Splits) -> str:
    if splits.task != "regression" or splits.y_train.ndim > 1:
        return ""
    values = np.unique(splits.y_train)
    if len(values) > _FEW or len(values) > len(splits.y_train) / _MANY_EACH or (values != np.floor(values)).any():
        return ""
    return ", ".join(f"{value:.1f}" for value in values[:3]) + (", ..." if len(values) > 3 else "")


def _moments(labels: Array) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the mean and the standard deviation of each value to predict."""
    values = labels.reshape(len(labels), -1)
    return np.mean(values, axis=0, dtype=np.float64), np.std(values, axis=0, dtype=np.float64)


def keeping_codes(scaling: Scaling, codes: npt.NDArray[np.bool_]) -> Scaling:
    """Leave features that are codes as they are; `codes` [features] marks them, or all of an image by one value.

    Raises:
        ValueError: if neither all are codes nor each feature has a scale of its own.

    """
    places = tuple(np.flatnonzero(codes).tolist())
    if not places:
        return scaling
    if codes.all():
        return Scaling(offset=(0.0,), scale=(1.0,), kind="none", codes=places)
    if len(scaling.scale) != len(codes):
        raise ValueError(f"codes: received {len(codes)} features, expected {len(scaling.scale)}")
    offset, scale = np.where(codes, 0.0, scaling.offset), np.where(codes, 1.0, scaling.scale)
    return scaling.model_copy(
        update={"offset": tuple(offset.tolist()), "scale": tuple(scale.tolist()), "codes": places}
    )


def described(scaling: Scalings) -> list[str]:
    """Say in a line an input what is done to it."""
    if isinstance(scaling, dict):
        return [f"{name}: {_words(own)}" for name, own in scaling.items()]
    return [_words(scaling)]


def _words(scaling: Scaling) -> str:
    words = {
        "text": "texts, passed on as they are",
        "none": "not scaled",
        "largest": f"divided by {scaling.scale[0]:g}",
        "standard": "standardised" if len(scaling.scale) == 1 else "standardised feature by feature",
    }[scaling.kind]
    if not scaling.codes:
        return words
    if scaling.kind == "none":
        return "codes for the network, passed on as they are"
    return f"{words}, but for the codes in {_columns(scaling.codes)}, passed on as they are"


def _columns(places: Sequence[int]) -> str:
    numbers = ", ".join(str(place) for place in places[:10])
    return f"feature{'s' if len(places) > 1 else ''} {numbers}" + (", ..." if len(places) > 10 else "")


def _standardising(x: Inputs, *, asked: bool) -> Scaling:
    """Mean and deviation of each feature of a table, or of all pixels, in one pass."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    for block in blocks(x):
        scaler.partial_fit(block if x.ndim == 2 else block.reshape(-1, 1))
    return Scaling(
        offset=tuple(scaler.mean_.tolist()), scale=tuple(scaler.scale_.tolist()), kind="standard", asked=asked
    )
