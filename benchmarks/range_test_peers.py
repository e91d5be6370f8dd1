"""Suggestions of fastai, Lightning, torch-lr-finder and keras_lr_finder for recorded range tests.

Runs in a separate environment (`benchmarks/peers_range_test.txt`) without this project. Reads a list of curves
`{style, rates, losses, steps_per_epoch}` as JSON from standard input, and writes a list of answers
`{method: {rate, updates}}` to standard output. Losses are those of single batches; each library does its own smoothing
and stopping.
"""

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

Curve = dict[str, Any]
Answer = dict[str, dict[str, Any]]


def fastai(curve: Curve) -> Answer:
    """Read as `Learner.lr_find`: smoothing (`AvgSmoothLoss`), stop rule, trimming and the four suggestion methods."""
    import torch  # type: ignore[import-not-found]
    from fastai.callback.schedule import minimum, slide, steep, valley  # type: ignore[import-not-found]
    from fastai.learner import AvgSmoothLoss  # type: ignore[import-not-found]

    smooth, losses, best = AvgSmoothLoss(), [], math.inf
    smooth.reset()
    for loss in curve["losses"]:
        smooth.accumulate(SimpleNamespace(loss=torch.tensor(loss)))
        losses.append(float(smooth.value))
        best = min(best, losses[-1])
        if losses[-1] > 4 * best:
            break
    planned, done = len(curve["rates"]), len(losses)
    trimmed = torch.tensor(losses[planned // 10 : -5])
    rates = torch.tensor(curve["rates"][:done][planned // 10 : -5])
    broken = torch.nonzero(torch.isnan(trimmed.view(-1)))
    if len(broken) > 0:
        trimmed, rates = trimmed[: min(broken)], rates[: min(broken)]

    def suggest(method: Callable[..., Any]) -> dict[str, Any]:
        return answer(lambda: method(rates, trimmed, planned)[0], done)

    return {f"fastai {method.__name__}": suggest(method) for method in (valley, slide, minimum, steep)}


def lightning(curve: Curve) -> Answer:
    """Read as `Tuner.lr_find`: its callback for smoothing and stopping, then `_LRFinder.suggestion`."""
    import torch
    from lightning.pytorch.tuner.lr_finder import _LRCallback, _LRFinder  # type: ignore[import-not-found]

    callback = _LRCallback(len(curve["rates"]))
    scheduler = SimpleNamespace(lr=[0.0])
    trainer = SimpleNamespace(
        fit_loop=SimpleNamespace(batch_idx=0),
        accumulate_grad_batches=1,
        global_step=0,
        should_stop=False,
        strategy=SimpleNamespace(broadcast=lambda value: value),
        lr_scheduler_configs=[SimpleNamespace(scheduler=scheduler)],
    )
    for rate, loss in zip(curve["rates"], curve["losses"], strict=False):
        scheduler.lr = [rate]
        callback.on_train_batch_start(trainer, None, None, 0)
        trainer.global_step += 1
        callback.on_train_batch_end(trainer, None, torch.tensor(loss), None, 0)
        if trainer.should_stop:
            break
    finder = _LRFinder("exponential", curve["rates"][0], curve["rates"][-1], len(curve["rates"]))
    finder.results = {"lr": callback.lrs, "loss": callback.losses}
    return {"Lightning": answer(finder.suggestion, len(callback.losses))}


def torch_lr_finder(curve: Curve) -> Answer:
    """Read as `LRFinder.range_test` by default (smoothing 0.05, stop at 5 times the best), then `plot(suggest_lr)`."""
    from torch_lr_finder import LRFinder  # type: ignore[import-not-found]

    history: list[float] = []
    best = math.inf
    for loss in curve["losses"]:
        history.append(0.05 * loss + 0.95 * history[-1] if history else loss)
        best = min(best, history[-1])
        if history[-1] > 5 * best:
            break
    finder = LRFinder.__new__(LRFinder)
    finder.history = {"lr": curve["rates"][: len(history)], "loss": history}
    return {"torch-lr-finder": answer(lambda: finder.plot()[1], len(history))}


def keras_lr_finder(curve: Curve) -> Answer:
    """Read as `LRFinder.find`, from Keras' running means, then the lowest point of `plot_loss_change(sma=20)`."""
    from keras_lr_finder import LRFinder  # type: ignore[import-not-found]
    from matplotlib import pyplot

    finder, total = LRFinder(model=None), 0.0
    for update, (rate, loss) in enumerate(zip(curve["rates"], curve["losses"], strict=False)):
        place = update % curve["steps_per_epoch"]
        total = loss if place == 0 else total + loss
        finder.lrs.append(rate)
        finder.losses.append(total / (place + 1))
        if math.isnan(finder.losses[-1]) or finder.losses[-1] > 4 * finder.best_loss:
            break
        finder.best_loss = min(finder.best_loss, finder.losses[-1])

    def drawn(plot: Callable[[], None]) -> float:
        figure = pyplot.figure()
        plot()
        line = figure.gca().lines[-1]
        rates, values = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        pyplot.close(figure)
        return float(rates[np.nanargmin(values)])

    done = len(finder.lrs)
    steepest = answer(lambda: drawn(lambda: finder.plot_loss_change(sma=20, n_skip_beginning=20)), done)
    return {"keras_lr_finder change": steepest, "keras_lr_finder lowest": answer(lambda: drawn(finder.plot_loss), done)}


def answer(suggest: Callable[[], float | None], updates: int) -> dict[str, Any]:
    """Return the suggestion, None if the library gives none or fails, and the updates it took."""
    try:
        rate = suggest()
    except (ValueError, RuntimeError, IndexError, ZeroDivisionError) as error:
        return {"rate": None, "updates": updates, "error": f"{type(error).__name__}: {error}"[:80]}
    return {"rate": None if rate is None else float(rate), "updates": updates}


STYLES: dict[str, tuple[Callable[[Curve], Answer], ...]] = {
    "fastai": (fastai, torch_lr_finder),
    "lightning": (lightning,),
    "keras": (keras_lr_finder,),
}


def main() -> None:
    """Pass every curve to the libraries that sweep in its style, and print their answers."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("MPLBACKEND", "agg")
    curves, answers = json.load(sys.stdin), []
    for curve in curves:
        with contextlib.redirect_stdout(sys.stderr):
            found = [library(curve) for library in STYLES[curve["style"]]]
        answers.append({method: value for each in found for method, value in each.items()})
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
