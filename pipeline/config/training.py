"""Options of the stages that prepare the data and test ranges of rates: what is trained, and how."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BeforeValidator, Field, field_validator, model_validator

from pipeline.config.common import CommandOptions, OptionalMinutes, OptionalName, OptionalRate
from pipeline.scale import AUTO, parse_scale
from pipeline.schedules import SCHEMES, Spacing, format_params, parse_params
from pipeline.user_code import is_function

OptimizerName = Literal[
    "sgd", "adam", "adamw", "adadelta", "adamax", "rmsprop", "nadam", "adagrad", "lion", "adafactor", "lamb", "muon",
    "schedule_free_sgd", "schedule_free_adamw", "prodigy",
]  # fmt: skip
Precision = Literal["auto", "float32", "mixed_bfloat16"]
TaskOption = Literal["auto", "classification", "regression", "multi_label"]
ClassWeight = Literal["none", "balanced"]
BatchNorm = Literal["auto", "keras"]
ColorMode = Literal["auto", "grayscale", "rgb", "rgba"]
TextColumns = Literal["drop", "hash"]

LARGEST_BATCH = 65_536
MODELS = ("cnn", "mlp")
REFINE_OFF = "off"

_WHOLE = re.compile(r"[0-9]{1,9}")
_IMAGE_SIZE = re.compile(r"[1-9][0-9]{0,4}(x[1-9][0-9]{0,4})?")


def _text(value: object) -> object:
    """Convert a single number to text: a list of one."""
    return str(value) if isinstance(value, int) else value


class PrepareOptions(CommandOptions):
    """Options of `prepare`."""

    subject: ClassVar[str] = "data and runs"

    experiment_name: str = Field("lr-pipeline", min_length=1, max_length=500, description="MLflow experiment to log to")
    fresh: bool = Field(False, description="run again even where a finished run could be reused")
    checkpoint: float = Field(1.0, ge=0, le=1e6, description="minutes between checkpoints of a training; 0 writes none")
    workers: int = Field(1, ge=1, le=1_000, description="processes of this machine that train at the same time")
    scheduler: OptionalName = Field(
        None,
        description="Dask cluster that trains: the address of its scheduler, or its scheduler file",
        examples=["tcp://host:8786", "scheduler.json"],
    )
    training_minutes: OptionalMinutes = Field(
        None,
        description="minutes after which a training on workers counts as hanging; default: 5 and ten times others",
        examples=["60"],
    )
    quiet: bool = Field(False, description="print the answer and nothing else")
    verbose: bool = Field(False, description="also print a line for each training")
    system_metrics: bool = Field(False, description="log use of processor, memory, disk and GPU with each stage's run")
    data: str = Field(
        "mnist-5k",
        min_length=1,
        description="a data set's name, a path, or module:function",
        examples=["digits", "houses.csv", "images/", "mymodels:data"],
    )
    target: str = Field(
        "target",
        min_length=1,
        description="label column of a table; several as a,b",
        examples=["price", "mpg,acceleration"],
    )
    task: TaskOption = Field("auto", description="what labels are: auto by their type, or as given (docs/data.md)")
    image_size: OptionalName = Field(
        None, description="height x width in pixels of a folder's images; default: medians", examples=["64", "64x48"]
    )
    color_mode: ColorMode = Field("auto", description="colours of a folder's images; auto: grey if all are, else RGB")
    text_columns: TextColumns = Field("drop", description="free text in tables: left out, or hashed into 256 features")
    in_memory_mb: int = Field(1024, ge=0, le=2**30, description="data larger than this many MiB are not held in memory")
    scale: str = Field(
        AUTO,
        description="scaling of inputs: auto, none or standard; of several inputs name=way,...",
        examples=["none", "image=none,age=standard"],
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="first seed; fixes splits, initial weights and data order")
    deterministic: bool = Field(False, description="the same bits whatever the number of threads: trains on one")

    @model_validator(mode="after")
    def _one_place_to_train(self) -> Self:
        if self.workers == 1 or self.scheduler is None:
            return self
        raise ValueError(f"workers: received {self.workers} with a scheduler, expected 1: the cluster has its own")

    @model_validator(mode="after")
    def _limit_where_it_can_be_kept(self) -> Self:
        if self.training_minutes is None or self.workers > 1 or self.scheduler is not None:
            return self
        received = f"{self.training_minutes:g} without workers"
        raise ValueError(f"training_minutes: received {received}, expected workers above 1, or a scheduler, with it")

    @model_validator(mode="after")
    def _quiet_or_verbose(self) -> Self:
        if self.quiet and self.verbose:
            raise ValueError("quiet and verbose: received both, expected one of them")
        return self

    @field_validator("scale")
    @classmethod
    def _readable_scale(cls, value: str) -> str:
        parse_scale(value)
        return value

    @field_validator("image_size")
    @classmethod
    def _readable_image_size(cls, value: str | None) -> str | None:
        if value is None or _IMAGE_SIZE.fullmatch(value):
            return value
        raise ValueError("expected a number of pixels, as 64, or height and width, as 64x48")

    @property
    def source(self) -> dict[str, Any]:
        """What data are read, and how: the arguments of `datasets.load`, except for `limit`."""
        height, _, width = (self.image_size or "").partition("x")
        shape = (int(height), int(width or height)) if height else None
        return {"data": self.data, "target": self.target, "image_shape": shape, "color_mode": self.color_mode}

    @property
    def hash_text(self) -> bool:
        """Whether free text in tables is hashed."""
        return self.text_columns == "hash"


class RangeTestOptions(PrepareOptions):
    """Options of `range_test`: the network, its optimizer and how it is trained."""

    subject: ClassVar[str] = "network, training and range test"

    takes_several: ClassVar[bool] = False
    """Whether several optimizers and batch sizes may be given."""

    model: str = Field(
        "cnn", description="cnn, mlp, or module:function returning a Keras model", examples=["mlp", "mymodels:resnet"]
    )
    model_args: str = Field(
        "",
        description="keyword arguments of the model function, as name=value,name=value",
        examples=["width=64,dropout=0.2"],
    )
    optimizer: str = Field(
        "sgd",
        description="optimizer; the search takes several, comma-separated",
        examples=["adam", "sgd,adamw", "schedule_free_adamw"],
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd; the others ignore it")
    batch_size: Annotated[str, BeforeValidator(_text)] = Field(
        "50",
        description="examples per optimizer update; the search takes several, comma-separated",
        examples=["32", "32,128"],
    )
    epochs: int = Field(5, ge=1, le=10_000, description="length of a full training, in passes over the training set")
    budget: float = Field(
        25.0, gt=1, le=1e6, description="most full trainings that range test, search and confirmation cost together"
    )
    precision: Precision = Field("auto", description="number format of the network's arithmetic")
    batch_norm: BatchNorm = Field("auto", description="recompute BatchNormalization's lagging averages, or not (keras)")
    scale_labels: bool = Field(False, description="train a regression on standardised labels, undone in predictions")
    class_weight: ClassWeight = Field("none", description="balanced: all classes count the same in the training loss")
    seeds: int = Field(3, ge=1, le=1_000, description="number of seeds, starting at `seed`")
    lr_min: OptionalRate = Field(
        None, description="lowest rate of the first sweep; default: by optimizer", examples=["1e-5"]
    )
    lr_max: OptionalRate = Field(
        None, description="highest rate of the first sweep; default: by optimizer", examples=["1"]
    )
    spacing: Spacing = Field("exponential", description="a sweep's steps: equal in log rate, or in rate (linear)")
    refine: str = Field(
        REFINE_OFF, description="scheme of the trainings that refine the range test's rate, or off", examples=["linear"]
    )

    @classmethod
    def _refuse_several(cls, given: Sequence[object]) -> None:
        if len(given) > 1 and not cls.takes_several:
            raise ValueError("expected one; only the search takes several")

    @field_validator("optimizer")
    @classmethod
    def _known_optimizers(cls, value: str) -> str:
        known, given = get_args(OptimizerName), value.split(",")
        cls._refuse_several(given)
        if len(set(given)) < len(given) or not set(given) <= set(known):
            raise ValueError(f"expected one of {', '.join(known)}, or several, comma-separated, each once")
        return value

    @field_validator("batch_size")
    @classmethod
    def _possible_batch_sizes(cls, value: str) -> str:
        given = [int(size) if _WHOLE.fullmatch(size) else 0 for size in value.split(",")]
        cls._refuse_several(given)
        if len(set(given)) < len(given) or not all(1 <= size <= LARGEST_BATCH for size in given):
            raise ValueError(f"expected a number from 1 to {LARGEST_BATCH}, or several, comma-separated, each once")
        return ",".join(map(str, given))

    @property
    def optimizers(self) -> tuple[str, ...]:
        """The optimizers, in the order in which they were given."""
        return tuple(self.optimizer.split(","))

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The batch sizes, in the order in which they were given."""
        return tuple(int(size) for size in self.batch_size.split(","))

    @field_validator("model")
    @classmethod
    def _known_model(cls, value: str) -> str:
        if value in MODELS or is_function(value):
            return value
        form = "module:function, a function of (input_shape, num_outputs) that returns a Keras model"
        raise ValueError(f"expected one of {', '.join(MODELS)}, or {form}")

    @field_validator("model_args")
    @classmethod
    def _readable_arguments(cls, value: str) -> str:
        try:
            return format_params(parse_params(value))
        except ValueError:
            raise ValueError("expected name=value,name=value, each name once") from None

    @model_validator(mode="after")
    def _built_in_models_take_none(self) -> Self:
        if self.model_args and self.model in MODELS:
            received = f"{self.model_args!r} with model={self.model}"
            raise ValueError(f"model_args: received {received}, expected none, or a module:function that takes them")
        return self

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.lr_min is None or self.lr_max is None or self.lr_min < self.lr_max:
            return self
        received = f"{self.lr_min:g} and {self.lr_max:g}"
        raise ValueError(f"lr_min and lr_max: received {received}, expected lr_min below lr_max")

    @field_validator("refine")
    @classmethod
    def _known_refinement(cls, value: str) -> str:
        trainable = [name for name, scheme in SCHEMES.items() if not scheme.reactive]
        if value in (REFINE_OFF, *trainable):
            return value
        raise ValueError(f"expected {REFINE_OFF}, or one of {', '.join(trainable)}")
