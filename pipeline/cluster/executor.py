"""The executor that trains on workers: as many evaluations at once as there are workers, in any order."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from queue import Empty, SimpleQueue
from statistics import median
from typing import Any
from uuid import uuid4

import numpy as np
from distributed import CancelledError, Client, Future, KilledWorker

from pipeline import interruption
from pipeline.cluster import working
from pipeline.cluster.connection import Connection
from pipeline.cluster.job import Job
from pipeline.errors import InputError, OutsideError, describe, refusal
from pipeline.evaluation import Evaluation, Training
from pipeline.training import Checkpoints

_LOOK_EVERY = 0.2  # seconds

_COUNT_EVERY = 2.0
"""Seconds between two counts of the workers, which may join and leave."""

_TIMES, _GRACE = 10.0, 300.0
"""A worker hangs if a training takes this many times as long as others took, and these seconds more."""

_SET_UP = 300.0
"""Seconds that a worker may take to set up a network beside the limit of a training, where that is given."""

_FETCHING = 5.0
"""Seconds after which an answer that is still being fetched is looked after: its worker may have died with it."""

_TRIES = 3
"""How often Dask may give up an evaluation that seems not to have begun on the workers that ended."""


@dataclass
class _Asked:
    """An evaluation that was handed to Dask.

    Attributes:
        evaluation: what to train.
        given_up: how often Dask has given it up before.
        future: Dask's.
        worker: the address of the worker that last began it.
        since: when that was, or when it then began to train.
        trains: whether it trains by now.
        begun: how often a worker began it.
        answer: what the worker answered, once it is here.

    """

    evaluation: Evaluation
    given_up: int
    future: Future = field(init=False)
    worker: str = ""
    since: float = 0.0
    trains: bool = False
    begun: int = 0
    answer: Any = None


class Workers:
    """Trains on workers. Each builds a network once, and keeps it and its data for the next training."""

    def __init__(
        self,
        connection: Connection,
        job: Job,
        note: Callable[[str], object],
        limit: float | None = None,
        grace: float = _GRACE,
    ) -> None:
        """Train what a job describes.

        Args:
            connection: to the workers.
            job: what they train on.
            note: is given a line for what users should know.
            limit: the seconds after which a training counts as one that hangs; default: by what others took.
            grace: the seconds that are added to what others took.

        """
        self._connection, self._job, self._note = connection, job, note
        self._limit, self._grace = limit, grace
        self._asked: dict[str, _Asked] = {}
        self._done: SimpleQueue[str] = SimpleQueue()
        self._rates: list[float] = []
        self._workers, self._counted = 0, -_COUNT_EVERY
        self._on_gpus = job.facts["device"] == "GPU" and not connection.local  # local workers share them out
        self._client.subscribe_topic(working.BEGUN, self._begun)

    @property
    def at_once(self) -> int:
        """How many evaluations to ask for at once: as many as there are workers, at least one."""
        if time.monotonic() - self._counted >= _COUNT_EVERY:
            before, self._workers = self._workers, self._connection.workers(self._on_gpus)
            self._counted = time.monotonic()
            if not self._workers and (before or not self._rates):
                kind = " that offers a GPU (--resources GPU=1)" if self._on_gpus else ""
                self._note(f"no worker{kind} at {self._connection.address}: waiting for one")
        return max(self._workers, 1)

    def ask(
        self,
        evaluations: Iterable[Evaluation],
        started: Callable[[Evaluation], object] = lambda evaluation: None,
        checkpoints: Checkpoints | None = None,
    ) -> Iterator[tuple[Evaluation, Training]]:
        """Yield each evaluation with its training as it finishes.

        Args:
            evaluations: what to train; each is taken only when its training can begin, or is the next to begin.
            started: called when an evaluation is handed to a worker.
            checkpoints: where trainings keep their state. Only workers of this machine do.

        Raises:
            InputError: if a worker would not train as this process does.
            OutsideError: if the scheduler is gone, or a worker fails.

        """
        waiting = iter(evaluations)
        kept = (checkpoints.folder.absolute(), checkpoints.context, checkpoints.seconds) if checkpoints else None
        extra = (self._connection.local, kept if self._connection.local else None)
        try:
            while True:
                # A quarter more than there are workers, so that none of them waits for this process.
                most = -(-self.at_once * 5 // 4)
                for evaluation in islice(waiting, max(most - len(self._asked), 0)):
                    started(evaluation)
                    self._submit(evaluation, extra)
                if not self._asked:
                    return
                with self._connection.needed():
                    asked = self._next()
                    training = self._training(asked)
                if training is None:
                    self._submit(asked.evaluation, extra, asked.given_up)
                else:
                    yield asked.evaluation, training
        finally:
            self._give_up()

    @property
    def _client(self) -> Client:
        return self._connection.client

    def _submit(self, evaluation: Evaluation, extra: tuple[Any, ...], given_up: int = 0) -> None:
        self._connection.check()
        key = f"training-{uuid4().hex}"
        resources = {"GPU": 1} if self._on_gpus else None
        self._asked[key] = asked = _Asked(evaluation, given_up)  # a worker may begin before `submit` returns
        asked.future = self._client.submit(
            working.answer, self._job, evaluation, *extra, key=key, pure=False, resources=resources
        )
        asked.future.add_done_callback(lambda done: self._done.put(done.key))

    def _next(self) -> _Asked:
        """Wait for a training to end; meanwhile look for signals, for the scheduler, and for workers that hang."""
        while True:
            try:
                key = self._done.get(timeout=_LOOK_EVERY)
                if self._has_answered(self._asked[key]):
                    return self._asked.pop(key)
            except (Empty, KeyError):
                interruption.check()
                self._connection.check()
                for asked in list(self._asked.values()):
                    if asked.since and time.monotonic() - asked.since > self._most(asked):
                        self._restart(asked)

    def _has_answered(self, asked: _Asked) -> bool:
        """Fetch the answer of a task that has ended; False if its worker died with it, so that Dask runs it again."""
        asked.since, future = 0.0, asked.future  # whoever begins it anew is watched from then on
        while future.status == "finished":
            try:
                asked.answer = future.result(timeout=_FETCHING)
            except TimeoutError:
                continue
            except Exception:  # `_training` says what it was
                return True
            return True
        if future.status in ("error", "cancelled"):
            return True
        future.add_done_callback(lambda done: self._done.put(done.key))
        return False

    def _training(self, asked: _Asked) -> Training | None:
        """Return the training; None if it must be handed to a worker again."""
        try:
            answered = asked.answer if asked.answer is not None else asked.future.result()
        except InputError:
            raise
        except KilledWorker as error:
            times, asked.given_up = error.allowed_failures + 1, asked.given_up + 1
            if asked.begun < times and asked.given_up < _TRIES:  # it waited on workers that others ended
                return None
            return self._failed(asked.evaluation, times)
        except CancelledError:  # with the scheduler gone, which is looked at before the next one
            return None
        except Exception as error:  # whatever Dask, TensorFlow and user code raise there
            if isinstance(error, ModuleNotFoundError) or "deserialization" in str(error):
                accepted = "a scheduler and workers in an environment like this one, with lr-pipeline"
                raise refusal(f"scheduler {self._connection.address}", describe(error), accepted) from error
            raise OutsideError(f"worker {asked.worker}: {asked.evaluation.name} failed: {describe(error)}") from error
        if isinstance(answered, working.NoData):
            self._send_data(answered.worker)
            return None
        if isinstance(answered, Training) and answered.examples:
            self._rates.append(answered.seconds / answered.examples)
        return answered  # type: ignore[no-any-return]

    def _send_data(self, worker: str) -> None:
        """Send the data to a worker that does not have them, which keeps them."""

        def call(function: Callable[..., Any], *given: Any) -> Any:
            return self._client.run(function, *given, workers=[worker], on_error="ignore").get(worker)

        if not call(working.has, self._job.digest):
            call(working.keep, self._job.digest, self._job.data.read_bytes())

    def _failed(self, evaluation: Evaluation, times: int) -> Training:
        """Return what stands for a training that no worker survives: for a search, one that diverged."""
        reason = f"given up: it ended the process of {times} workers"
        if evaluation.is_sweep or evaluation.test:
            raise OutsideError(f"{evaluation.name}: {reason}")
        self._note(f"{evaluation.name}: {reason}")
        steps_per_epoch = -(-self._job.examples // evaluation.candidate.batch_size)
        nothing = np.empty(0, np.float32)
        return Training(nothing, nothing, {}, steps_per_epoch, steps_per_epoch, reason, 0.0, 0)

    def _begun(self, event: tuple[float, dict[str, Any]]) -> None:
        """Note that a worker has begun a task, or to train. Called by Dask, in a thread of its own."""
        _, said = event
        if (asked := self._asked.get(said["key"])) is not None:
            asked.worker, asked.since, asked.trains = said["worker"], time.monotonic(), said["trains"]
            asked.begun += not said["trains"]

    def _most(self, asked: _Asked) -> float:
        """Return the seconds after which a worker hangs at a training; inf if nothing is known yet."""
        if self._limit is not None:
            return self._limit + (0 if asked.trains else _SET_UP)
        if not self._rates or not asked.trains:
            return np.inf
        return self._grace + _TIMES * median(self._rates) * asked.evaluation.epochs * self._job.examples

    def _restart(self, asked: _Asked) -> None:
        """Let Dask end the process of a worker that hangs, and run what it had at work elsewhere."""
        seconds, asked.since = time.monotonic() - asked.since, 0.0
        self._note(f"worker {asked.worker} hangs: {asked.evaluation.name} runs elsewhere after {seconds:.0f} s")
        try:
            self._client.restart_workers([asked.worker], timeout=_TIMES, raise_for_error=False)
        except ValueError:  # nobody watches over its process: it can only be left alone
            self._client.run_on_scheduler(_remove, asked.worker)

    def _give_up(self) -> None:
        """End what is still at work, where the caller wants no more of it."""
        asked, self._asked = self._asked, {}
        if asked and self._client.status == "running":
            with suppress(OSError):  # the scheduler has just gone
                self._client.cancel([one.future for one in asked.values()])
                self._client.run(working.stop, list(asked), wait=False)


async def _remove(worker: str, dask_scheduler: Any) -> None:
    await dask_scheduler.remove_worker(worker, stimulus_id=f"lr-pipeline-{uuid4().hex}", close=True)
