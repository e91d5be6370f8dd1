"""Training runs: one child run for each training, on disk before it is logged, and read back to reuse it."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.entities import Run, RunTag

from pipeline import interruption
from pipeline.evaluation import Evaluation, Training
from pipeline.tracking.delivery import Delivery
from pipeline.tracking.journal import Claim, Record
from pipeline.tracking.metrics import training_metrics
from pipeline.tracking.store import StageRun, Store
from pipeline.tracking.trainings import CURVE, candidate_tags, curve_frame, read_training, write_training

if TYPE_CHECKING:  # takes half a second, so only stages that draw import it
    from matplotlib.figure import Figure

Draw = Callable[[Evaluation, Training], "Figure"]

_COPIED_TAGS = ("pipeline.stage", "pipeline.role")
_LOOK_EVERY = 0.1  # seconds


@dataclass(frozen=True)
class Label:
    """How a training appears in the UI: the stage that its run is tagged with, its name, and what it was for."""

    stage: str
    name: str
    role: str


class TrainingLog:
    """Logs trainings as children of a stage's run, and finds those that were done before, by any command."""

    def __init__(
        self, store: Store, parent: StageRun, context: str, draw: Draw, note: Callable[[str], object] = print
    ) -> None:
        """Start a log below `parent`.

        Args:
            store: where the trainings go, by way of its journal.
            parent: the run of the stage.
            context: the key of all that the evaluations share: data, network, code.
            draw: draws the curve of a training.
            note: tells the user what happens to trainings.

        """
        self._store = store
        self._journal = store.journal
        self._delivery = Delivery(store, note)
        self._parent = parent
        self._context = context
        self._draw = draw
        self._note = note
        self._known: dict[str, list[Run]] = {}
        self._looked: int | None = None
        self._looked_again: dict[str, int] = {}
        self._claims: dict[str, Claim] = {}

    def look_up(self) -> None:
        """Find the finished trainings with this context, whichever run they belong to."""
        self._journal.tidy()
        self._looked = time.time_ns()
        self._known = self._store.trainings(f"{self._context}-%")

    @property
    def waiting(self) -> int:
        """How many trainings wait for a store that is away."""
        return self._delivery.waiting

    def recall(self, evaluation: Evaluation) -> Training | None:
        """Return the known training for an evaluation, if any, and show it below this stage's run as well.

        A training of another run stays there, and a child tagged `pipeline.cached` stands for it. A training whose
        artifacts are damaged, or that holds less than is asked for, does not count; nor does one that another run gave
        up, as the reason may have gone with its workers.
        """
        if self._looked is None:
            return None
        damaged = False
        for copy in self._copies(self._key(evaluation)):
            if copy is None:
                damaged = True
                continue
            record, folder = copy
            try:
                training = read_training(folder)
                of_another = record.parent != self._parent.run_id
                if not training.answers(evaluation) or (of_another and training.given_up):
                    continue
                if of_another:
                    self._stand_in(record, folder)
            except (FileNotFoundError, shutil.Error):  # logged meanwhile by another command, so that the store has it
                continue
            return training
        if damaged:
            self._note(f"training {evaluation.name} is damaged: made again")
        return None

    def claim(self, evaluation: Evaluation) -> bool:
        """Keep other commands from making a training that is unknown, until it is logged.

        False if another one is at work on it, or has made it since it was recalled: `await_other`, then recall again.
        Of commands with another journal, only finished trainings are known.
        """
        if self._looked is None:
            return True
        claim = self._journal.claim(key := self._key(evaluation))
        if claim is None:
            return False
        if claim.made > self._last_look(key) or self._made_elsewhere(key):
            claim.release()
            return False
        self._claims[key] = claim
        return True

    def await_other(self, evaluation: Evaluation) -> None:
        """Wait until no other command is at work on a training."""
        while (claim := self._journal.claim(self._key(evaluation))) is None:
            interruption.check()
            time.sleep(_LOOK_EVERY)
        claim.release()

    def log(self, evaluation: Evaluation, training: Training, label: Label) -> None:
        """Put a finished training on disk and, if the store is there, in the store."""
        key = self._key(evaluation)
        tags = {"pipeline.stage": label.stage, "pipeline.role": label.role}
        own = self._parent
        record = Record(label.name, key, own.run_id, own.experiment_id, tags, ended=time.time())

        def write(folder: Path) -> None:
            write_training(folder, evaluation, training)
            self._draw_curve(folder, evaluation, training)

        self._delivery.add(record, write)
        self._journal.mark(key)
        if claim := self._claims.pop(key, None):
            claim.release()
        self._delivery.attempt(own.run_id)

    def finish(self, answer: str) -> None:
        """See that all trainings are logged before the stage goes on to write its `answer`; see `Delivery.finish`."""
        self._delivery.finish(self._parent.run_id, answer)

    def log_onto(self, run: StageRun, evaluation: Evaluation, training: Training, scores: Mapping[str, float]) -> None:
        """Also log a training on its stage's own run: the training whose model the stage keeps."""
        tags = [RunTag(key, value) for key, value in candidate_tags(evaluation.candidate).items()]
        self._store.client.log_batch(run.run_id, training_metrics(training, scores, time.time()), tags=tags)
        curve_frame(training).to_csv(run.folder / CURVE, index=False)
        self._draw_curve(run.folder, evaluation, training)

    def _copies(self, key: str) -> Iterator[tuple[Record, Path] | None]:
        """Yield where a training is, in the journal and then in the store; None for what is damaged."""
        # The mark is read first: a training that got further meanwhile is found at its next place, or marked again.
        if marked := self._journal.made(key) > self._last_look(key):
            self._looked_again[key] = time.time_ns()
        for entry in reversed(self._journal.entries(key)):
            if (waiting := entry.read()) is not None:
                yield waiting, entry.artifacts
            elif entry.folder.exists():  # else another command has just logged it
                self._journal.remove(entry)
                yield None
        if marked:
            self._known |= self._store.trainings(key)
        for run in self._known.get(key, ()):
            folder, tags = self._store.intact(run.info.run_id), run.data.tags
            kept = {name: value for name, value in tags.items() if name in _COPIED_TAGS}
            record = Record(str(run.info.run_name), key, tags["mlflow.parentRunId"], "", kept, 0.0, run.info.run_id)
            yield None if folder is None else (record, folder)

    def _made_elsewhere(self, key: str) -> bool:
        """Return whether a command with another journal has made a training since all were looked up."""
        if self._journal.is_only or key in self._known:  # known, but damaged or without what is asked for
            return False
        self._known |= self._delivery.look(key)
        return key in self._known

    def _stand_in(self, original: Record, folder: Path) -> None:
        own = self._parent
        self._delivery.add(
            replace(
                original,
                parent=own.run_id,
                experiment=own.experiment_id,
                ended=time.time(),
                cached=original.cached or "",
            ),
            lambda copy: shutil.copytree(folder, copy, dirs_exist_ok=True),
        )
        self._delivery.attempt(own.run_id)

    def _draw_curve(self, folder: Path, evaluation: Evaluation, training: Training) -> None:
        # Minimal compression: every training waits for this file, and it is small anyway.
        self._draw(evaluation, training).savefig(folder / "lr_curve.png", pil_kwargs={"compress_level": 1})

    def _last_look(self, key: str) -> int:
        """Return when a training was last looked for, in nanoseconds since the epoch."""
        assert self._looked is not None
        return self._looked_again.get(key, self._looked)

    def _key(self, evaluation: Evaluation) -> str:
        return f"{self._context}-{evaluation.digest}"
