"""The training loop of all networks. A run continues after an interruption, and the same seed gives the same run."""

from __future__ import annotations

import contextlib
import copy
import json
import math
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

from edge.counted import counted

from .checkpoints import TrainingError, load_earlier, save, save_best
from .nets import Frozen, normalise
from .tflite_weights import transplant

#: Gradients are scaled down to this norm.
MAX_GRADIENT_NORM = 10.0


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train.

    `rate` is the peak learning rate, `backbone_rate` a factor on it for layers that start from ImageNet. `warmup` and
    `validate_every` are steps. `ema` is the decay of the averaged weights. Training stops early after `patience`
    validations without a better one.
    """

    steps: int
    batch: int
    rate: float
    backbone_rate: float = 1.0
    weight_decay: float = 0.02
    warmup: int = 200
    ema: float = 0.998
    validate_every: int = 500
    patience: int = 1000
    checkpoint_s: float = 120.0
    seed: int = 1


class Task(Protocol):
    """What the loop needs to know about a network.

    `metric` is the figure of `validate` that chooses the best weights.
    """

    name: str
    metric: str

    def build(self) -> torch.nn.Module:
        """Return a new network."""
        ...

    def calibration(self, n: int, seed: int) -> Tensor:
        """Return `n` training pictures, (n, C, H, W) uint8."""
        ...

    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]:
        """Return a batch that depends on `seed` and `step` alone."""
        ...

    def loss(self, net: torch.nn.Module, batch: dict[str, Tensor], progress: float) -> Tensor:
        """Return the loss of a batch; `progress` is from 0 to 1."""
        ...

    def validate(self, net: torch.nn.Module) -> dict[str, float]:
        """Return figures on the validation split."""
        ...

    def learn_from(self, earlier: torch.nn.Module) -> None:
        """Adapt the training data to what an earlier network finds hard."""
        ...


def device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _batches(task: Task, plan: Plan, start: int, workers: int) -> Iterator[dict[str, Tensor]]:
    """Yield the batches in order; threads draw them ahead."""
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


def _groups(net: torch.nn.Module, plan: Plan, taken: int) -> list[dict[str, Any]]:
    """Return parameter groups: the first `taken` convolutions have a rate of their own, norms and biases have no
    decay."""
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
    """Train, or continue a run in `out` that was interrupted; return the path of the best weights.

    `pretrained` is an ImageNet MobileNetV2, `weights` an earlier network of this kind to start from. `out` gets last.pt
    (everything to continue from), best.pt (averaged weights of the best validation), history.jsonl and curves.png. The
    "seconds" of history.jsonl are processor time of all threads, in the steps alone.
    Raises TrainingError if the loss is not a number, and KeyboardInterrupt after a checkpoint on SIGINT or SIGTERM.
    """
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(task, plan, out, pretrained, weights)
    with _stop_signals() as stop:
        if weights is not None and not run.is_resumed:
            run.validate(None, 0.0)  # training must be better than this, or the earlier weights stay the best
        run.train(workers, quiet, stop)
    return out / "best.pt"


@contextlib.contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Set the event at SIGTERM or SIGINT, instead of ending the process."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = {s: signal.signal(s, lambda *_: stop.set()) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for s, handler in previous.items():
            signal.signal(s, handler)


class _Run:
    """One run: the network, its moving average, the optimiser, and how far it is."""

    def __init__(self, task: Task, plan: Plan, out: Path, pretrained: Path | None, weights: Path | None) -> None:
        self._task, self._plan, self._out, self._last = task, plan, out, out / "last.pt"
        torch.manual_seed(plan.seed)
        self._net = task.build()
        for module in self._net.modules():
            if isinstance(module, Frozen):
                module.requires_grad_(False)
        if weights is not None:
            # Also when a run continues: what the task learns from the earlier network must be the same each time.
            load_earlier(self._net, weights, task, plan.seed)
            task.learn_from(self._net.eval())
        self._taken, self._step, self._best, self._stale, self._seconds = 0, 0, -math.inf, 0, 0.0
        resumed = self._resumed_state()
        self.is_resumed = resumed is not None
        if resumed is not None:
            self._net.load_state_dict(resumed["net"])
            self._taken, self._step = resumed["taken"], resumed["step"]
            self._best, self._stale = resumed["best"], resumed["stale"]
            self._seconds = resumed.get("seconds", 0.0)  # checkpoints of earlier versions do not have it
        elif weights is None and pretrained is not None:
            self._taken = transplant(self._net, pretrained, normalise(task.calibration(160, plan.seed)))
        self._average = copy.deepcopy(self._net)
        if resumed is not None:
            self._average.load_state_dict(resumed["average"])
        where = device()
        # Convolutions are faster with channels last.
        self._net = self._net.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._average = self._average.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._average.eval().requires_grad_(False)
        groups = _groups(self._net, plan, self._taken)
        self._optimiser = torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.98))
        if resumed is not None:
            self._optimiser.load_state_dict(resumed["optimiser"])

    def _resumed_state(self) -> dict[str, Any] | None:
        if not self._last.is_file():
            return None
        resumed: dict[str, Any] = torch.load(self._last, map_location="cpu", weights_only=False)
        if resumed["plan"] != asdict(self._plan):
            raise TrainingError(f"{self._last}: belongs to another plan; give another --out or delete the folder")
        return resumed

    def train(self, workers: int, quiet: bool, stop: threading.Event) -> None:
        """Train to the end of the plan, with checkpoints and validations on the way."""
        plan, name = self._plan, self._task.name
        saved_at = time.monotonic()
        losses: list[float] = []
        with tqdm(total=plan.steps, initial=self._step, desc=name, unit="step", disable=quiet, mininterval=5.0) as bar:
            for batch in _batches(self._task, plan, self._step, workers):
                rate, began = self._rate(), time.process_time()
                losses.append(self._learn(batch, rate))
                self._seconds += time.process_time() - began
                bar.update()
                bar.set_postfix(loss=f"{sum(losses[-100:]) / len(losses[-100:]):.4f}", refresh=False)
                if self._step % plan.validate_every == 0 or self._step == plan.steps:
                    self.validate(sum(losses) / len(losses), rate)
                    losses, saved_at = losses[-1:], time.monotonic()
                    if self._stale >= plan.patience:
                        tqdm.write(
                            f"{name}: no better {self._task.metric} for {counted(self._stale, 'validation')}, stopping early"
                        )
                        return
                if stop.is_set() or time.monotonic() - saved_at > plan.checkpoint_s:
                    self._checkpoint()
                    saved_at = time.monotonic()
                    if stop.is_set():
                        raise KeyboardInterrupt

    def validate(self, loss: float | None, rate: float) -> None:
        """Validate the averaged weights, record the figures, and keep the weights if they are the best so far."""
        figures = self._task.validate(self._average)
        row = {"step": self._step, "seconds": round(self._seconds, 2), "loss": loss, "rate": rate, **figures}
        with (self._out / "history.jsonl").open("a") as history:
            history.write(json.dumps(row) + "\n")
        tqdm.write(" ".join(f"{k}={v:.4g}" for k, v in row.items() if v is not None))
        if figures[self._task.metric] > self._best:
            self._best, self._stale = figures[self._task.metric], 0
            save_best(self._out / "best.pt", self._average, figures, self._step)
        else:
            self._stale += 1
        self._checkpoint()
        draw_history(self._out)

    def _rate(self) -> float:
        """Return the learning rate of the next step: a linear warm-up and a cosine (Loshchilov and Hutter 2017)."""
        warm = min(1.0, (self._step + 1) / self._plan.warmup)
        cosine = 0.5 * (1 + math.cos(math.pi * self._step / self._plan.steps))
        return self._plan.rate * warm * (0.01 + 0.99 * cosine)

    def _learn(self, batch: dict[str, Tensor], rate: float) -> float:
        """Take one step; return the loss."""
        self._net.train()
        for group in self._optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        self._optimiser.zero_grad(set_to_none=True)
        loss = self._task.loss(self._net, batch, self._step / self._plan.steps)
        value = float(loss.detach())
        if not math.isfinite(value):
            good = f"the last good checkpoint is {self._last}" if self._last.is_file() else "there is no checkpoint yet"
            where = f"{self._task.name}: loss is {value} at step {self._step}"
            raise TrainingError(f"{where}; {good} (try a smaller --rate)")
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in self._net.parameters() if p.requires_grad], MAX_GRADIENT_NORM)
        self._optimiser.step()
        self._step += 1
        self._add_to_average()
        return value

    @torch.no_grad()
    def _add_to_average(self) -> None:
        """Move the averaged weights towards the current ones, faster in the first steps."""
        decay = min(self._plan.ema, (1 + self._step) / (10 + self._step))
        for a, b in zip(self._average.state_dict().values(), self._net.state_dict().values(), strict=True):
            if a.dtype.is_floating_point:
                a.lerp_(b, 1 - decay)
            else:
                a.copy_(b)

    def _checkpoint(self) -> None:
        state = {
            "plan": asdict(self._plan),
            "net": self._net.state_dict(),
            "average": self._average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "taken": self._taken,
            "step": self._step,
            "best": self._best,
            "stale": self._stale,
            "seconds": self._seconds,
        }
        save(self._last, state)


def draw_history(out: Path) -> None:
    """Draw history.jsonl as curves.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    names = [k for k in rows[-1] if k not in ("step", "seconds", "rate")]
    figure, axes = plt.subplots(1, len(names), figsize=(4 * len(names), 3), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        axis.plot([r["step"] for r in rows], [math.nan if r[name] is None else r[name] for r in rows], marker=".")
        axis.set_title(name)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out / "curves.png", dpi=90)
    plt.close(figure)
