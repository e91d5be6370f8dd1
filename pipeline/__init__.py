"""lr-pipeline: finds an initial learning rate and a decay scheme by experiment, and says how sure it is."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.finding import find

__all__ = ["find"]


def __getattr__(name: str) -> Any:
    """Import `find` on first use: it needs TensorFlow, which loads for seconds."""
    if name != "find":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pipeline.finding import find

    return find
