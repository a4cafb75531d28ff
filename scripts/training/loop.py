"""One training loop for all three networks: resumable after a kill at any moment, and the same for the same seed."""

from __future__ import annotations

import copy
import json
import math
import os
import pickle
import queue
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from .nets import normalise, restore, transplant


class TrainingError(Exception):
    """Training cannot go on; the message names the last good checkpoint."""


@dataclass(frozen=True)
class Plan:
    """How long and how fast."""

    steps: int
    batch: int
    rate: float
    backbone_rate: float = 1.0  # a factor on layers that start from ImageNet
    weight_decay: float = 0.02
    warmup: int = 200
    ema: float = 0.998
    validate_every: int = 500
    patience: int = 1000  # validations without a better one before stopping early
    checkpoint_s: float = 120.0
    seed: int = 1


class Task(Protocol):
    """What a network brings along to be trained."""

    name: str
    metric: str

    def build(self) -> torch.nn.Module: ...
    def calibration(self, n: int, seed: int) -> Tensor: ...
    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]: ...
    def loss(self, net: torch.nn.Module, batch: dict[str, Tensor], progress: float) -> Tensor: ...
    def validate(self, net: torch.nn.Module) -> dict[str, float]: ...
    def learn_from(self, earlier: torch.nn.Module) -> None: ...


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _batches(task: Task, plan: Plan, start: int, workers: int) -> Iterator[dict[str, Tensor]]:
    """Batches in order, drawn ahead by threads. A batch depends on (seed, step) alone, so a resumed run sees the same."""
    ready: dict[int, Any] = {}
    todo: queue.Queue[int] = queue.Queue()
    changed = threading.Condition()
    ahead = 2 * workers
    for step in range(start, min(start + ahead, plan.steps)):
        todo.put(step)

    def work() -> None:
        while True:
            step = todo.get()
            try:
                made: Any = task.batch(plan.seed, step, plan.batch)
            except Exception as error:
                made = error
            with changed:
                ready[step] = made
                changed.notify_all()

    for _ in range(workers):
        threading.Thread(target=work, daemon=True).start()
    for step in range(start, plan.steps):
        with changed:
            changed.wait_for(lambda: step in ready)  # waited for within the iteration  # noqa: B023
            made = ready.pop(step)
        if step + ahead < plan.steps:
            todo.put(step + ahead)
        if isinstance(made, Exception):
            raise made
        yield made


def _save(path: Path, state: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _groups(net: torch.nn.Module, plan: Plan, taken: int) -> list[dict[str, Any]]:
    """Parameter groups: ImageNet layers at their own rate, and no decay on norms and biases."""
    backbone: set[int] = set()
    convolutions = 0
    modules = list(net.modules())
    for module in modules:
        if isinstance(module, torch.nn.Conv2d | torch.nn.BatchNorm2d):
            if isinstance(module, torch.nn.Conv2d):
                convolutions += 1
            if convolutions <= taken:
                backbone.update(id(p) for p in module.parameters())
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for p in net.parameters():
        if p.requires_grad:
            key = (plan.backbone_rate if id(p) in backbone else 1.0, plan.weight_decay if p.ndim > 1 else 0.0)
            groups.setdefault(key, []).append(p)
    return [{"params": ps, "factor": f, "weight_decay": d, "lr": 0.0} for (f, d), ps in groups.items()]


def train(
    task: Task,
    plan: Plan,
    out: Path,
    pretrained: Path | None,
    workers: int = 1,
    quiet: bool = False,
    weights: Path | None = None,
) -> Path:
    """Train, or go on where a run in `out` was killed; returns the path of the best weights.

    `out` gets last.pt (everything needed to resume), best.pt (averaged weights of the best validation), history.jsonl
    and curves.png. Raises TrainingError on a loss that is not a number.
    """
    out.mkdir(parents=True, exist_ok=True)
    last, best_path = out / "last.pt", out / "best.pt"
    torch.manual_seed(plan.seed)
    where = device()
    net = task.build()
    for module in net.modules():
        if type(module).__name__ == "Frozen":
            module.requires_grad_(False)
    taken, step, best, stale = 0, 0, -math.inf, 0
    average = copy.deepcopy(net)
    if weights is not None:
        # Before anything is resumed: what is learnt from the earlier network must be the same each time.
        load_earlier(net, weights, task, plan.seed)
        task.learn_from(net.eval())
    resumed: dict[str, Any] | None = None
    if last.is_file():
        resumed = torch.load(last, map_location="cpu", weights_only=False)
        if resumed["plan"] != asdict(plan):
            raise TrainingError(f"{last}: belongs to another plan; give another --out or delete the folder")
        net.load_state_dict(resumed["net"])
        average.load_state_dict(resumed["average"])
        taken, step, best, stale = resumed["taken"], resumed["step"], resumed["best"], resumed["stale"]
    elif weights is not None:
        average.load_state_dict(net.state_dict())
    elif pretrained is not None:
        taken = transplant(net, pretrained, normalise(task.calibration(160, plan.seed)))
        average.load_state_dict(net.state_dict())
    # channels_last does not suit the scratch gradients of 1x1-spatial layers, but everything else is faster in it.
    net = net.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = average.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average.eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(_groups(net, plan, taken), lr=plan.rate, betas=(0.9, 0.98))
    if resumed is not None:
        optimiser.load_state_dict(resumed["optimiser"])

    stop = threading.Event()
    previous = {}
    if threading.current_thread() is threading.main_thread():
        previous = {s: signal.signal(s, lambda *_: stop.set()) for s in (signal.SIGTERM, signal.SIGINT)}

    def checkpoint() -> None:
        _save(
            last,
            {
                "plan": asdict(plan),
                "net": net.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
                "taken": taken,
                "step": step,
                "best": best,
                "stale": stale,
            },
        )

    def judge(loss: float | None, rate: float) -> None:
        """Validate, and keep what is better than anything before."""
        nonlocal best, stale
        figures = task.validate(average)
        row = {"step": step, "loss": loss, "rate": rate, **figures}
        with (out / "history.jsonl").open("a") as history:
            history.write(json.dumps(row) + "\n")
        tqdm.write(" ".join(f"{k}={v:.4g}" for k, v in row.items() if v is not None))
        if figures[task.metric] > best:
            best, stale = figures[task.metric], 0
            save_best(best_path, average, figures, step)
        else:
            stale += 1
        checkpoint()
        curves(out)

    if weights is not None and resumed is None:
        judge(None, 0.0)  # what training must beat; if it does not, the earlier weights stay the best
    saved_at = time.monotonic()
    losses: list[float] = []
    bar = tqdm(total=plan.steps, initial=step, desc=task.name, unit="step", disable=quiet, mininterval=5.0)
    for batch in _batches(task, plan, step, workers):
        net.train()
        progress = step / plan.steps
        warm = min(1.0, (step + 1) / plan.warmup)
        rate = plan.rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        optimiser.zero_grad(set_to_none=True)
        loss = task.loss(net, batch, progress)
        value = float(loss.detach())
        if not math.isfinite(value):
            bar.close()
            good = f"the last good checkpoint is {last}" if last.is_file() else "there is no checkpoint yet"
            raise TrainingError(f"{task.name}: loss is {value} at step {step}; {good} (try a smaller --rate)")
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in net.parameters() if p.requires_grad], 10.0)
        optimiser.step()
        step += 1
        decay = min(plan.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for a, b in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
                if a.dtype.is_floating_point:
                    a.lerp_(b, 1 - decay)
                else:
                    a.copy_(b)
        losses.append(value)
        bar.update()
        bar.set_postfix(loss=f"{sum(losses[-100:]) / len(losses[-100:]):.4f}", refresh=False)
        if step % plan.validate_every == 0 or step == plan.steps:
            judge(sum(losses) / len(losses), rate)
            losses = losses[-1:]
            saved_at = time.monotonic()
            if stale >= plan.patience:
                tqdm.write(f"{task.name}: no better {task.metric} for {stale} validations, stopping early")
                break
        if stop.is_set() or time.monotonic() - saved_at > plan.checkpoint_s:
            checkpoint()
            saved_at = time.monotonic()
            if stop.is_set():
                bar.close()
                raise KeyboardInterrupt
    bar.close()
    for s, handler in previous.items():
        signal.signal(s, handler)
    return best_path


def load_earlier(net: torch.nn.Module, path: Path, task: Task, seed: int) -> None:
    """Weights of a run's best.pt or of an exported `.tflite` into `net`. Raises TrainingError."""
    if path.suffix != ".tflite":
        load_best(net, path)
        return
    try:
        restore(net, path, normalise(task.calibration(160, seed)))
    except ValueError as error:
        raise TrainingError(f"{path}: not a model of such a network: {error}") from None


def save_best(path: Path, net: torch.nn.Module, figures: dict[str, float], step: int) -> None:
    """Write weights, with the validation figures that they reached, for `load_best`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _save(path, {"net": net.state_dict(), "figures": figures, "step": step})


def load_best(net: torch.nn.Module, path: Path) -> dict[str, float]:
    """Weights of a run's best.pt into `net`; returns the validation figures saved with them. Raises TrainingError."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        net.load_state_dict(saved["net"])
        figures: dict[str, float] = saved["figures"]
    except (OSError, RuntimeError, KeyError, TypeError, pickle.UnpicklingError, EOFError) as error:
        raise TrainingError(f"{path}: not the weights of such a network: {error}") from None
    return figures


def curves(out: Path) -> None:
    """Draw history.jsonl as curves.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    names = [k for k in rows[-1] if k not in ("step", "rate")]
    figure, axes = plt.subplots(1, len(names), figsize=(4 * len(names), 3), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        axis.plot([r["step"] for r in rows], [math.nan if r[name] is None else r[name] for r in rows], marker=".")
        axis.set_title(name)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out / "curves.png", dpi=90)
    plt.close(figure)
