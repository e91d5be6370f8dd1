"""Pages and figures where users look for them: copies of artifacts, which stay where they are."""

import filecmp
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from pipeline.tracking import Finished, StageRun

Published = tuple[Path, tuple[str, ...]] | None
"""Where users look for the pages of a stage, and the patterns of their names; None for a stage without any."""


def publish(folder: Path, published: Published) -> None:
    """Copy the pages in a folder; where that fails, say so and go on: the artifacts have all of them."""
    if published is None:
        return
    place, kinds = published
    try:
        place.mkdir(parents=True, exist_ok=True)
        for file in (file for kind in kinds for file in folder.glob(kind)):
            shutil.copyfile(file, place / file.name)
    except OSError as error:
        line = f"cannot write {error.filename2 or error.filename or place} ({error.strerror})"
        print(f"lr-pipeline: {line}; the pages are among the artifacts of the run", file=sys.stderr)


def place_of(page: str, published: Path, run: Finished | StageRun) -> str:
    """Return where a page lies as it is now: where users look for it, or among the artifacts of its run."""
    copy, original = published / page, run.folder / page
    with suppress(OSError):
        if filecmp.cmp(copy, original, shallow=False):
            return str(copy)
    is_download = Path(tempfile.gettempdir()) in original.parents  # removed when this process ends
    return f"runs:/{run.run_id}/{page}" if is_download else str(original)
