"""The data that a call from Python is given: named, split and described."""

from typing import Any

from pipeline import datasets
from pipeline.config import SearchOptions
from pipeline.datasets import Splits
from pipeline.datasets.labels import TASK_AUTO
from pipeline.models import outputs_by_name
from pipeline.scale import AUTO, NONE
from pipeline.stages.prepare import grouped


def split_given(model: Any, data: Any, validation_data: Any, scale: str | None, options: SearchOptions) -> Splits:
    """Return the splits of what a call was given; arrays in lists get the names that the model has for them."""
    data, validation_data = by_name(model, data), by_name(model, validation_data)
    raw = datasets.read_returned(data, "data", datasets.IN_MEMORY, validation=validation_data)
    if scale is None:
        scale = AUTO if isinstance(raw.x_train, datasets.Table) else NONE
    given = {} if validation_data is None else {"test_fraction": 0.0}  # all that is given is trained on
    return datasets.split(raw, options.seed, **given, scale=scale, hash_text=options.hash_text, task=options.task)


def about(splits: Splits, options: SearchOptions) -> list[str]:
    """Return what to say of the data: what became of a table's columns, and what their labels look like."""
    few = datasets.few_values(splits) if options.task == TASK_AUTO else ""
    far = "" if options.scale_labels else datasets.far_labels(splits)
    return [*grouped(splits.columns), *filter(None, (few, far))]


def by_name(model: Any, data: Any) -> Any:
    """Name the arrays of data whose x or y is a list, as Keras takes them: in the order of those of the model."""
    inputs = [one.name for one in getattr(model, "inputs", None) or ()]
    outputs = list(outputs_by_name(model)) if len(getattr(model, "outputs", None) or ()) > 1 else []

    def named(values: Any, names: list[str]) -> Any:
        in_order = isinstance(values, list) and len(values) == len(names) > 1
        return dict(zip(names, values, strict=True)) if in_order else values

    def of_set(part: Any) -> Any:
        if not isinstance(part, tuple) or len(part) not in (2, 3):
            return part
        return (named(part[0], inputs), named(part[1], outputs), *part[2:])

    sets = isinstance(data, tuple) and all(isinstance(part, tuple) for part in data)
    return tuple(map(of_set, data)) if sets else of_set(data)
