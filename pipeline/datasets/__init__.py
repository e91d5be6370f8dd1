"""From data sources to arrays and splits.

`load` turns a source's name into a `Raw`, `split` turns that into `Splits`; `save` and `load_splits` keep them in one
file. Every user error raises an `InputError`. pandas, scikit-learn, mlxtend and Keras are imported
where they are used, so importing this package is cheap.
"""

from pipeline.datasets.array_files import file_digest
from pipeline.datasets.arrays import (
    Inputs,
    InputShape,
    Output,
    PrepareResult,
    Raw,
    Scaling,
    Scalings,
    Splits,
    Task,
    Widths,
    by_output,
    input_shape,
    named,
    text_inputs,
)
from pipeline.datasets.encoding import Table
from pipeline.datasets.labels import with_balanced_classes
from pipeline.datasets.large import Rows, blocks, example, head
from pipeline.datasets.scaling import (
    described,
    far_labels,
    few_values,
    keeping_codes,
    with_scaled_labels,
)
from pipeline.datasets.sources import IN_MEMORY, held_bytes, load, read_returned, source_digest
from pipeline.datasets.splits import resplit, resplit_rows, split
from pipeline.datasets.storage import digests, load_splits, prepared, save
from pipeline.datasets.streams import Stream

__all__ = [
    "IN_MEMORY",
    "InputShape",
    "Inputs",
    "Output",
    "PrepareResult",
    "Raw",
    "Rows",
    "Scaling",
    "Scalings",
    "Splits",
    "Stream",
    "Table",
    "Task",
    "Widths",
    "blocks",
    "by_output",
    "described",
    "digests",
    "example",
    "far_labels",
    "few_values",
    "file_digest",
    "head",
    "held_bytes",
    "input_shape",
    "keeping_codes",
    "load",
    "load_splits",
    "named",
    "prepared",
    "read_returned",
    "resplit",
    "resplit_rows",
    "save",
    "source_digest",
    "split",
    "text_inputs",
    "with_balanced_classes",
    "with_scaled_labels",
]
