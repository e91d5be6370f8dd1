"""Stage `prepare`: load, check, split, write."""

import importlib
from collections.abc import Mapping

from pipeline import datasets, interruption, user_code
from pipeline.config import PrepareOptions
from pipeline.console import native_messages_hidden
from pipeline.datasets import Output, PrepareResult
from pipeline.datasets.labels import TASK_AUTO
from pipeline.errors import listed
from pipeline.stages.context import COLUMNS, SPLITS, Context
from pipeline.tracking.data_sets import log_dataset


def summary(result: PrepareResult) -> str:
    """Return the result in one line."""
    counts = f"{result.train_examples:,} / {result.validation_examples:,} / {result.test_examples:,}"
    what = f"{counts} train / validation / test examples of shape {result.input_shape}, {_outputs(result)}"
    return f"{result.data}: {what}; inputs {', '.join(datasets.described(result.scaling))}"


def _outputs(result: PrepareResult | Output) -> str:
    if isinstance(result, PrepareResult) and result.outputs:
        return ", ".join(f"{name} ({_outputs(one)})" for name, one in result.outputs.items())
    if result.task == "regression":
        return "regression" if result.num_outputs == 1 else f"regression of {result.num_outputs} values"
    return f"{result.num_outputs} {'classes' if result.task == 'classification' else 'labels an example'}"


def run(context: Context[PrepareOptions]) -> PrepareResult:
    """Load and split the data, write the splits and log them."""
    options = context.options
    context.status.begin(f"loading {options.data}")
    with interruption.at_once():  # reading may take minutes
        if any(user_code.imports(options.data, package) for package in ("keras", "tensorflow")):
            with native_messages_hidden():  # no other data need TensorFlow, which takes seconds to load
                importlib.import_module("tensorflow")
        raw = datasets.load(**options.source, limit=options.in_memory_mb * 2**20, task=options.task)
        splits = datasets.split(raw, options.seed, scale=options.scale, hash_text=options.hash_text, task=options.task)
    for columns in grouped(splits.columns):
        context.status.note(columns)
    if options.task == TASK_AUTO and (few := datasets.few_values(splits)):
        context.status.note(few)
    context.status.begin("writing the splits")
    datasets.save(splits, context.run.folder / SPLITS, **options.source)
    if splits.encoder is not None:
        splits.encoder.save(context.run.folder / COLUMNS)
    digests = datasets.digests(splits)
    for name, part in (("train", "training"), ("val", "validation"), ("test", "test")):
        x, y = (getattr(splits, f"{letter}_{name}") for letter in "xy")
        log_dataset(options.data, part, x, y, digests[f"x_{name}"])
    given = raw.x_val is not None
    return datasets.prepared(options.data, splits, digests, splits.columns, validation_given=given)


def grouped(columns: Mapping[str, str]) -> list[str]:
    """Say what became of the columns of a table, in a line for all that it is the same for."""
    return [
        f"{what}: {listed(name for name in columns if columns[name] == what)}"
        for what in dict.fromkeys(columns.values())
    ]
