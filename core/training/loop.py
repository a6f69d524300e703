"""The training loop: step, accumulate, clip, evaluate, save; steered between micro-batches."""

import math
import time
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from accelerate import Accelerator

from .. import control, events
from ..config import RunConfig
from ..data.plan import BatchPlan
from ..errors import SftError
from ..prompt.tokens import Encoded
from ..rundir import RunDir
from . import checkpoint, samples
from .collate import Batch, collate
from .data import Prepared
from .loss import SupervisedLoss
from .optim import learning_rate, reference_rate
from .precision import Precision
from .report import Report
from .steering import Steering

MAX_NON_FINITE_STEPS = 5
"""Steps in a row whose loss or gradient is not finite, after which the run fails."""


@dataclass
class Loop:
    """Everything that the steps of one start need."""

    run: RunDir
    config: RunConfig
    accelerator: Accelerator
    model: Any
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
        if not self.steering.stopping and evaluated != step:
            evaluated = self.evaluate(step)
            self._sample(chosen, step)
            if evaluated and self.best_step == step:
                checkpoint.say_again(self.run, self._state(step))
        return step

    def _must_save(self, step: int) -> bool:
        best = self.config.save.keep_best and self.best_step == step
        return best or self._due(self.config.save.every_steps, step) or self._asked_to_save()

    def _stopping(self) -> bool:
        self.steering.poll()
        return self.steering.stopping

    def _due(self, every: int | None, step: int) -> bool:
        return every is not None and step % every == 0

    def take_step(self, step: int) -> bool:
        """Does one optimizer step and tells it; returns whether loss and gradient were finite."""
        began = time.perf_counter()
        batches = [
            collate([self.data.train[index] for index in rows], self.pad_id)
            for rows in self.plan.micro_batches(step)
        ]
        waited = time.perf_counter() - began
        supervised = sum(batch.supervised_tokens for batch in batches)
        rate = self._learning_rate(step)
        loss = 0.0
        for batch in batches:
            self.steering.poll()
            part = self._loss_sum(batch) / self._normaliser(batch, supervised, len(batches))
            self.precision.backward(part)
            loss += part.item()
        norm = self._grad_norm()
        finite = math.isfinite(loss) and math.isfinite(norm)
        searching = math.isfinite(loss) and self.precision.searching
        self.precision.step(self.optimizer, finite=finite)
        if not finite and not searching:
            self._warn_non_finite(step, loss, norm)
        self.optimizer.zero_grad()
        seconds = time.perf_counter() - began
        self._tell(step, loss, norm, rate, batches, seconds, waited)
        return finite or searching

    def _normaliser(self, batch: Batch, supervised: int, batches: int) -> int:
        """Returns what a micro-batch's loss sum is divided by.

        The trained tokens of the whole step: the split into micro-batches changes nothing. Or
        those of the micro-batch, times the micro-batches: a mean of means.
        """
        if self.config.train.loss_normalisation == "tokens":
            return supervised
        return batch.supervised_tokens * batches

    def _loss_sum(self, batch: Batch) -> torch.Tensor:
        batch = batch.to(self.accelerator.device)
        with self.precision.arithmetic():
            return self.loss(
                self.model,
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
        return float(norm)

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
        batches: list[Batch],
        seconds: float,
        waited: float,
    ) -> None:
        limit = self.config.optim.max_grad_norm
        tokens = sum(batch.tokens for batch in batches)
        computed = sum(batch.computed_tokens for batch in batches)
        self.report.emit(
            events.Step(
                step=step,
                epoch=step / self.plan.steps_per_epoch,
                loss=loss,
                learning_rate=rate,
                grad_norm=norm,
                clipped=limit is not None and norm > limit,
                supervised_tokens=sum(batch.supervised_tokens for batch in batches),
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
        if self.accelerator.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.accelerator.device)
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
        loss_sum, tokens = 0.0, 0
        size = self.config.train.micro_batch_size
        with torch.no_grad():
            for start in range(0, len(rows), size):
                self.report.phase("evaluating", start, len(rows), "rows")
                if self._stopping():
                    self.model.train()
                    return False
                batch = collate(rows[start : start + size], self.pad_id)
                loss_sum += self._loss_sum(batch).item()
                tokens += batch.supervised_tokens
        self.model.train()
        loss = loss_sum / tokens
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
                self.accelerator.unwrap_model(self.model),
                self.tokenizer,
                rows,
                self.pad_id,
                self.config.evaluate.sample_max_tokens,
                step,
                self.report,
                self.steering,
            )

    def _asked_to_save(self) -> bool:
        self.steering.poll()
        return bool(self.steering.checkpoints)

    def _state(self, step: int) -> checkpoint.TrainerState:
        return checkpoint.TrainerState(
            step=step,
            learning_rate_factor=self.steering.learning_rate_factor,
            data_hash=self.data.data_hash,
            elapsed_s=self.start.elapsed_s + self.report.elapsed_s,
            best_step=self.best_step if self.config.save.keep_best else None,
            best_loss=self.best_loss,
            loss_scale=self.precision.state(),
        )

    def _save(self, step: int) -> int:
        checkpoint.save(
            self.run,
            self.accelerator.unwrap_model(self.model),
            self.optimizer,
            self._state(step),
            self.config.save.keep,
            self.report,
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
