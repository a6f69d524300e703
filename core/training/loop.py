"""The training loop: step, accumulate, clip, evaluate, save; steered between micro-batches."""

import hashlib
import math
import time
from array import array
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from .. import control, events
from ..config import RunConfig
from ..data.plan import BatchPlan
from ..errors import SftError
from ..prompt.tokens import Encoded
from ..rundir import RunDir
from . import checkpoint, samples
from .collate import Batch, collate, idle
from .data import Prepared
from .loss import SupervisedLoss
from .optim import learning_rate, reference_rate
from .precision import Precision
from .ranks import Ranks
from .report import Report
from .sharding import exchanging, whole
from .steering import Steering

MAX_NON_FINITE_STEPS = 5
"""Steps in a row whose loss or gradient is not finite, after which the run fails."""


@dataclass
class Loop:
    """Everything that the steps of one start need."""

    run: RunDir
    config: RunConfig
    ranks: Ranks
    device: torch.device
    model: Any
    forward: Any
    """The model, or what exchanges its gradients between ranks."""
    optimizer: Any
    tokenizer: Any
    data: Prepared
    plan: BatchPlan
    loss: SupervisedLoss
    total_steps: int
    pad_id: int
    report: Report
    steering: Steering
    precision: Precision
    start: checkpoint.TrainerState
    """Of the checkpoint that is resumed, or step 0."""

    def __post_init__(self) -> None:
        self.best_step, self.best_loss = self.start.best_step, self.start.best_loss

    def train(self, first_step: int) -> int:
        """Runs the steps from `first_step` to the end, or until asked to stop.

        Returns:
            The last step that was done. Its checkpoint is on the disk.

        Raises:
            SftError: The loss stayed non-finite, or a checkpoint could not be written.
        """
        chosen = samples.choose(
            self.data.evaluation or self.data.train, self.config.evaluate.samples
        )
        step = saved = first_step - 1
        if step == 0:
            if self.config.evaluate.at_start:
                self.evaluate(0)
            self._sample(chosen, 0)
        evaluated = step
        non_finite = 0
        self.report.phase("training")
        while step < self.total_steps and not self._stopping():
            step += 1
            finite = self.take_step(step)
            non_finite = 0 if finite else non_finite + 1
            if non_finite == MAX_NON_FINITE_STEPS:
                raise _diverged(step, saved)
            if self._due(self.config.evaluate.every_steps, step) and self.evaluate(step):
                evaluated = step
                self._sample(chosen, step)
                self.report.phase("training")
            if self._must_save(step):
                saved = self._save(step)
                self.report.phase("training")
        if saved != step:
            self._save(step)
        if not self._stopping() and evaluated != step:
            evaluated = self.evaluate(step)
            self._sample(chosen, step)
            if evaluated and self.best_step == step and self.ranks.first:
                checkpoint.say_again(self.run, self._state(step))
        return step

    def _must_save(self, step: int) -> bool:
        best = self.config.save.keep_best and self.best_step == step
        return best or self._due(self.config.save.every_steps, step) or self._asked_to_save()

    def _stopping(self) -> bool:
        self.steering.settle()
        return self.steering.stopping

    def _due(self, every: int | None, step: int) -> bool:
        return every is not None and step % every == 0

    def take_step(self, step: int) -> bool:
        """Does one optimizer step and tells it; returns whether loss and gradient were finite."""
        began = time.perf_counter()
        rows = [[self.data.train[i] for i in some] for some in self.plan.micro_batches(step)]
        batches = self._my_batches(rows)
        waited = time.perf_counter() - began
        supervised = sum(row.trained for some in rows for row in some)
        rate = self._learning_rate(step)
        loss = 0.0
        for number, batch in enumerate(batches, start=1):
            self.steering.poll()
            with exchanging(self.forward, last=number == len(batches)):
                part = self._loss_sum(batch, self.forward)
                part = part / self._normaliser(batch, supervised, len(rows))
                self.precision.backward(part * self.ranks.size)  # ranks take their mean
            loss += part.item()
        (loss,) = self.ranks.total(loss)
        norm = self._grad_norm()
        finite = math.isfinite(loss) and math.isfinite(norm)
        searching = math.isfinite(loss) and self.precision.searching
        self.precision.step(self.optimizer, finite=finite)
        if not finite and not searching:
            self._warn_non_finite(step, loss, norm)
        self.optimizer.zero_grad()
        seconds = time.perf_counter() - began
        self._tell(step, loss, norm, rate, rows, seconds, waited)
        self._log_rows(step, rows)
        return finite or searching

    def _my_batches(self, rows: list[list[Encoded]]) -> list[Batch]:
        """Returns this rank's of some micro-batches; all ranks get as many, the last may be idle.

        The passes of an idle one add nothing, but other ranks need this one to take part.
        """
        return [
            idle(rows[0][0], self.pad_id) if some is None else collate(some, self.pad_id)
            for some in self.ranks.mine(rows)
        ]

    def _log_rows(self, step: int, rows: list[list[Encoded]]) -> None:
        """Prints what this rank trained, so that the log shows who trained what."""
        if self.ranks.size > 1:
            mine = [row for some in self.ranks.mine(rows) for row in some or ()]
            ids = hashlib.sha256()
            for row in mine:
                ids.update(array("q", row.input_ids).tobytes())
            print(f"step {step}: {len(mine)} rows, digest {ids.hexdigest()[:12]}", flush=True)

    def _normaliser(self, batch: Batch, supervised: int, batches: int) -> int:
        """Returns what a micro-batch's loss sum is divided by.

        The trained tokens of the whole step: the split into micro-batches changes nothing. Or
        those of the micro-batch, times the micro-batches: a mean of means.
        """
        if self.config.train.loss_normalisation == "tokens":
            return supervised
        return max(batch.supervised_tokens, 1) * batches

    def _loss_sum(self, batch: Batch, forward: Any) -> torch.Tensor:
        batch = batch.to(self.device)
        with self.precision.arithmetic():
            return self.loss(
                forward,
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                labels=batch.labels,
            )

    def _grad_norm(self) -> float:
        """Returns the gradient's norm before clipping, and clips where that is asked for."""
        limit = self.config.optim.max_grad_norm
        self.precision.unscale(self.optimizer)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        norm = torch.nn.utils.clip_grad_norm_(trained, math.inf if limit is None else limit)
        return float(whole(norm))

    def _learning_rate(self, step: int) -> float:
        """Sets and returns the rate of this step, after what clients asked for."""
        scheduled = learning_rate(self.config.optim, step, self.total_steps)
        reference = reference_rate(self.config.optim, step, self.total_steps)
        for command in self.steering.learning_rates:
            old = reference * self.steering.learning_rate_factor
            if reference == 0:
                self.steering.refuse(command, "the schedule has reached zero")
                continue
            self.steering.learning_rate_factor = (command.learning_rate or 0.0) / reference
            self.steering.done(command, old=old, new=command.learning_rate)
        self.steering.learning_rates.clear()
        rate = scheduled * self.steering.learning_rate_factor
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _warn_non_finite(self, step: int, loss: float, norm: float) -> None:
        self.report.warn(
            "non_finite",
            f"step {step} was skipped: its loss is {loss} and its gradient norm {norm}",
            "the weights were not changed; if it goes on, lower optim.learning_rate",
        )

    def _tell(
        self,
        step: int,
        loss: float,
        norm: float,
        rate: float,
        rows: list[list[Encoded]],
        seconds: float,
        waited: float,
    ) -> None:
        limit = self.config.optim.max_grad_norm
        tokens = sum(len(row.input_ids) for some in rows for row in some)
        computed = sum(len(some) * max(len(row.input_ids) for row in some) for some in rows)
        self.report.emit(
            events.Step(
                step=step,
                epoch=step / self.plan.steps_per_epoch,
                loss=loss,
                learning_rate=rate,
                grad_norm=norm,
                clipped=limit is not None and norm > limit,
                supervised_tokens=sum(row.trained for some in rows for row in some),
                tokens=tokens,
                computed_tokens=computed,
                tokens_per_s=tokens / seconds,
                step_s=seconds,
                data_wait_s=waited,
                padding_share=1 - tokens / computed,
                memory_bytes=self._memory_bytes(),
                elapsed_s=self.start.elapsed_s + self.report.elapsed_s,
            )
        )

    def _memory_bytes(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return psutil.Process().memory_info().rss

    def evaluate(self, step: int) -> bool:
        """Tells the mean loss over the evaluation rows; returns whether it was finished.

        A request to stop ends it early, without an event.
        """
        rows = sorted(self.data.evaluation, key=lambda row: len(row.input_ids))
        if not rows:
            return False
        began = time.monotonic()
        self.model.eval()
        size = self.config.train.micro_batch_size
        batches = self._my_batches([rows[at : at + size] for at in range(0, len(rows), size)])
        loss_sum = 0.0
        with torch.no_grad():
            for number, batch in enumerate(batches):
                done = min(number * size * self.ranks.size, len(rows))
                self.report.phase("evaluating", done, len(rows), "rows")
                if self._stopping():
                    self.model.train()
                    return False
                loss_sum += self._loss_sum(batch, self.model).item()
        (loss_sum,) = self.ranks.total(loss_sum)
        self.model.train()
        loss = loss_sum / sum(row.trained for row in rows)
        if step > 0 and math.isfinite(loss) and (self.best_loss is None or loss < self.best_loss):
            self.best_step, self.best_loss = step, loss
        self.report.emit(
            events.Eval(
                step=step,
                loss=loss,
                perplexity=math.exp(loss) if loss < 700 else math.inf,
                rows=len(rows),
                elapsed_s=time.monotonic() - began,
            )
        )
        return True

    def _sample(self, rows: list[Encoded], step: int) -> None:
        with self.precision.arithmetic():
            samples.take(
                self.model,
                self.tokenizer,
                rows,
                self.pad_id,
                self.config.evaluate.sample_max_tokens,
                step,
                self.report,
                self.steering,
                self.ranks,
            )

    def _asked_to_save(self) -> bool:
        self.steering.settle()
        return bool(self.steering.checkpoints)

    def _state(self, step: int) -> checkpoint.TrainerState:
        return checkpoint.TrainerState(
            step=step,
            learning_rate_factor=self.steering.learning_rate_factor,
            data_hash=self.data.data_hash,
            rows_per_step=self.plan.rows_per_step,
            elapsed_s=self.start.elapsed_s + self.report.elapsed_s,
            best_step=self.best_step if self.config.save.keep_best else None,
            best_loss=self.best_loss,
            loss_scale=self.precision.state(),
        )

    def _save(self, step: int) -> int:
        checkpoint.save(
            self.run,
            self.model,
            self.optimizer,
            self._state(step),
            self.config.save.keep,
            self.report,
            self.ranks,
        )
        self._answer_saved(self.steering.checkpoints)
        return step

    def _answer_saved(self, commands: list[control.Command]) -> None:
        for command in commands:
            self.steering.done(command)
        commands.clear()


def _diverged(step: int, saved: int) -> SftError:
    back = f"checkpoint {saved} is the last good one" if saved else "there is no checkpoint yet"
    return SftError(
        f"training diverged at step {step}",
        f"loss or gradient were not finite in {MAX_NON_FINITE_STEPS} steps in a row; {back}",
        "lower optim.learning_rate, or set train.precision to fp32, and train again",
    )
