"""Stage `prepare`: load, check, split, write."""

from pipeline import datasets
from pipeline.config import PrepareOptions
from pipeline.results import PrepareResult
from pipeline.stages.context import SPLITS, Context
from pipeline.tracking.inputs import log_dataset


def summary(result: PrepareResult) -> str:
    """What came out, in one line."""
    counts = f"{result.train_examples:,} / {result.validation_examples:,} / {result.test_examples:,}"
    kind = f"{result.num_outputs} classes" if result.task == "classification" else "regression"
    return f"{result.data}: {counts} train / validation / test examples of shape {result.input_shape}, {kind}"


def run(context: Context[PrepareOptions]) -> PrepareResult:
    """Split the data and log the splits."""
    options = context.options
    context.status.begin(f"loading {options.data}")
    splits = datasets.split(datasets.load(options.data, options.target), options.seed)
    context.status.begin("writing the splits")
    datasets.save(splits, context.run.folder / SPLITS)
    digests = datasets.digests(splits)
    parts = {
        "training": (splits.x_train, splits.y_train),
        "validation": (splits.x_val, splits.y_val),
        "test": (splits.x_test, splits.y_test),
    }
    for name, (x, y) in parts.items():
        log_dataset(options.data, name, x, y)
    return PrepareResult(
        data=options.data,
        task=splits.task,
        input_shape=splits.x_train.shape[1:],
        num_outputs=splits.num_outputs,
        classes=splits.classes,
        train_examples=len(splits.x_train),
        validation_examples=len(splits.x_val),
        test_examples=len(splits.x_test),
        scaling=splits.scaling,
        digests=digests,
    )
