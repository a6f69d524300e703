"""The training loop: step, accumulate, clip, evaluate, save; steered between micro-batches."""

import math
import time
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from .. import events
from ..config import RunConfig
from ..data.plan import BatchPlan, evaluation_batches
from ..health.table import NO_FINITE_STEP
from ..rundir import RunDir
from . import checkpoint, samples, saving
from .changes import change_course
from .collate import Batch, Layout, StepRows
from .course import Course
from .data import Prepared
from .failures import diverged
from .loss import SupervisedLoss
from .precision import Precision
from .ranks import Ranks
from .report import Report
from .sharding import exchanging, whole
from .steering import Steering
from .utilisation import Utilisation

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
    course: Course
    layout: Layout
    report: Report
    steering: Steering
    precision: Precision
    start: checkpoint.TrainerState
    """Of the checkpoint that is resumed, or step 0."""

    def __post_init__(self) -> None:
        self.best_step, self.best_loss = self.start.best_step, self.start.best_loss
        self.evaluated = self.start.evaluated
        self.saved = self.start.step
        self.good = self.start.step
        """The newest checkpoint whose weights gave a finite loss and gradient."""
        self.moved = self.start.step > 0
        """Whether a step has changed the weights."""
        self.non_finite = 0
        """How many steps in a row, up to the newest, gave none."""
        self.prompts = samples.choose(
            self.data.evaluation or self.data.train, self.config.evaluate.samples
        )

        self._utilisation = Utilisation(
            self.model, self.device, self.config.train.precision, self.ranks.size
        )

    def train(self) -> int:
        """Runs the steps to the end, or until asked to stop.

        Returns:
            The last step that was done. Its checkpoint is on the disk.

        Raises:
            SftError: The loss stayed non-finite, or a checkpoint could not be written.
        """
        step = self.start.step
        if step == 0:
            if self.config.evaluate.at_start:
                self.evaluate(0)
            self._sample(0)
        self.report.phase("training")
        while self._goes_on(step):
            step += 1
            finite = self.take_step(step)
            self.non_finite = 0 if finite else self.non_finite + 1
            if finite:
                self.good = self.saved
            if self.non_finite == MAX_NON_FINITE_STEPS:
                first = step - MAX_NON_FINITE_STEPS + 1
                good = self.good if self.moved else None
                raise diverged(self.run, self.config, self.model, first, good)
            self._look(step)
            # Steps that changed no weight push no good checkpoint out.
            due = not self.non_finite and self._must_save(step)
            if due or self.steering.asked_for("checkpoint"):
                self._save(step)
                self.report.phase("training")
        if self.saved != step:
            self._save(step)
        if not self.steering.stopping and self.evaluated != step:
            self._look_at_the_end(step)
        return step

    def _look_at_the_end(self, step: int) -> None:
        """Evaluates and samples, and says so in the checkpoint, which is there already."""
        if not self.data.evaluation and not self.prompts:
            return
        self.evaluate(step)
        self._sample(step)
        if not self.steering.stopping:
            self.evaluated = step
            saving.say_again(self.run, self._state(step), self.ranks)

    def _goes_on(self, step: int) -> bool:
        """Carries out what changes the course, and returns whether there is a step to come."""
        self.steering.settle()
        change_course(self.course, self.steering, step, self.plan.steps_per_epoch)
        return step < self.course.total_steps and not self.steering.stopping

    def _look(self, step: int) -> None:
        """Evaluates and samples where the course or a client wants it."""
        self.steering.settle()
        due = self._due(self.course.eval_every_steps, step)
        asked, samples_asked = self.steering.asked("evaluate"), self.steering.asked("sample")
        if not (due or asked or samples_asked):
            return
        loss = self.evaluate(step) if due or asked else None
        for command in asked:
            if loss is not None:
                self.steering.done(command, new=loss)
            else:
                self.steering.refuse(command, self._why_not("there are no rows to evaluate on"))
        told = (due and loss is not None) or samples_asked
        taken = bool(told) and self._sample(step)
        for command in samples_asked:
            if taken:
                self.steering.done(command)
            else:
                self.steering.refuse(command, self._why_not("evaluate.samples is 0"))
        self.report.phase("training")

    def _why_not(self, lack: str) -> str:
        return "the run is about to end" if self.steering.stopping else lack

    def _must_save(self, step: int) -> bool:
        best = self.config.save.keep_best and self.best_step == step
        return best or self._due(self.course.save_every_steps, step)

    def _due(self, every: int | None, step: int) -> bool:
        return every is not None and step % every == 0

    def take_step(self, step: int) -> bool:
        """Does one optimizer step and tells it; returns whether loss and gradient were finite."""
        began = time.perf_counter()
        rows = StepRows.of(self.plan.micro_batches(step), self.data.train, self.layout)
        batches = rows.batches(self.ranks)
        waited = time.perf_counter() - began
        rate = self._learning_rate(step)
        loss = 0.0
        for number, batch in enumerate(batches, start=1):
            self.steering.poll()
            with exchanging(self.forward, last=number == len(batches)):
                part = self._loss_sum(self.forward, batch) / self._normaliser(batch, rows)
                self.precision.backward(part * self.ranks.size)  # ranks take their mean
            loss += part.item()
        (loss,) = self.ranks.total(loss)
        norm = self._grad_norm()
        finite = math.isfinite(loss) and math.isfinite(norm)
        searching = math.isfinite(loss) and self.precision.searching
        self.precision.step(self.optimizer, finite=finite)
        self.moved = self.moved or finite
        if not finite and not searching:
            self._warn_non_finite(step, loss, norm)
        self.optimizer.zero_grad()
        seconds = time.perf_counter() - began
        self._tell(step, loss, norm, rate, rows, seconds, waited)
        rows.log(step, self.ranks)
        return finite or searching

    def _normaliser(self, batch: Batch, rows: StepRows) -> int:
        """Returns what a micro-batch's loss sum is divided by.

        The trained tokens of the whole step: the split into micro-batches changes nothing. Or
        those of the micro-batch, times the micro-batches: a mean of means.
        """
        if self.config.train.loss_normalisation == "tokens":
            return rows.supervised_tokens
        return max(batch.supervised_tokens, 1) * rows.count

    def _loss_sum(self, forward: Any, batch: Batch) -> torch.Tensor:
        batch = batch.to(self.device)
        with self.precision.arithmetic():
            return self.loss(forward, batch.predicted, **batch.inputs)

    def _grad_norm(self) -> float:
        """Returns the gradient's norm before clipping, and clips where that is asked for."""
        limit = self.config.optim.max_grad_norm
        self.precision.unscale(self.optimizer)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        norm = torch.nn.utils.clip_grad_norm_(trained, math.inf if limit is None else limit)
        return float(whole(norm))

    def _learning_rate(self, step: int) -> float:
        """Sets and returns the rate of this step."""
        rate = self.course.learning_rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _warn_non_finite(self, step: int, loss: float, norm: float) -> None:
        lower = "the weights were not changed; if it goes on, lower optim.learning_rate"
        self.report.warn(
            "non_finite",
            f"step {step} was skipped: its loss is {loss:.4g} and its gradient norm {norm:.4g}",
            lower if self.moved else NO_FINITE_STEP,
        )

    def _tell(
        self,
        step: int,
        loss: float,
        norm: float,
        rate: float,
        rows: StepRows,
        seconds: float,
        waited: float,
    ) -> None:
        limit = self.config.optim.max_grad_norm
        self.report.emit(
            events.Step(
                step=step,
                epoch=step / self.plan.steps_per_epoch,
                loss=loss,
                learning_rate=rate,
                grad_norm=norm,
                clipped=limit is not None and norm > limit,
                supervised_tokens=rows.supervised_tokens,
                tokens=rows.tokens,
                computed_tokens=rows.computed_tokens,
                tokens_per_s=rows.tokens / seconds,
                step_s=seconds,
                data_wait_s=waited,
                padding_share=max(1 - rows.tokens / rows.computed_tokens, 0.0),
                shared_share=max(1 - rows.computed_tokens / rows.tokens, 0.0),
                memory_bytes=self._memory_bytes(),
                mfu=self._utilisation.of(rows.tokens, rows.computed_tokens, seconds),
                elapsed_s=self.start.elapsed_s + self.report.elapsed_s,
            )
        )

    def _memory_bytes(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return psutil.Process().memory_info().rss

    def evaluate(self, step: int) -> float | None:
        """Tells and returns the mean loss over the evaluation rows; None where there are none.

        A request to stop ends it early, without an event, and gives None too.
        """
        rows = self.data.evaluation
        if not rows:
            return None
        began = time.monotonic()
        self.model.eval()
        batches = evaluation_batches(
            [row.input_ids for row in rows],
            self.config.train.micro_batch_size,
            self.plan.packing,
        )
        parts = StepRows.of(batches, rows, self.layout)
        loss_sum = 0.0
        with torch.no_grad():
            for number, batch in enumerate(parts.batches(self.ranks)):
                done = sum(map(len, batches[: number * self.ranks.size]))
                self.report.phase("evaluating", done, len(rows), "rows")
                if self.steering.settle():
                    self.model.train()
                    return None
                loss_sum += self._loss_sum(self.model, batch).item()
        (loss_sum,) = self.ranks.total(loss_sum)
        self.model.train()
        loss = loss_sum / parts.supervised_tokens
        if step > 0 and math.isfinite(loss) and (self.best_loss is None or loss < self.best_loss):
            self.best_step, self.best_loss = step, loss
        self.evaluated = step
        self.report.emit(
            events.Eval(
                step=step,
                loss=loss,
                perplexity=math.exp(loss) if loss < 700 else math.inf,
                rows=len(rows),
                elapsed_s=time.monotonic() - began,
            )
        )
        return loss

    def _sample(self, step: int) -> bool:
        """Answers the prompts; returns whether there are some and all were answered."""
        with self.precision.arithmetic():
            return samples.take(
                self.model,
                self.tokenizer,
                self.prompts,
                self.layout.pad_id,
                self.config.evaluate.sample_max_tokens,
                step,
                self.report,
                self.steering,
                self.ranks,
            )

    def _state(self, step: int) -> checkpoint.TrainerState:
        return checkpoint.TrainerState(
            step=step,
            footing=self.start.footing,
            course=self.course,
            data_hash=self.data.data_hash,
            elapsed_s=self.start.elapsed_s + self.report.elapsed_s,
            best_step=self.best_step if self.config.save.keep_best else None,
            best_loss=self.best_loss,
            evaluated=self.evaluated,
            loss_scale=self.precision.state(),
        )

    def _save(self, step: int) -> None:
        saving.save(
            self.run,
            self.model,
            self.optimizer,
            self._state(step),
            self.config.save.keep,
            self.report,
            self.ranks,
        )
        self.saved = step
        for command in self.steering.asked("checkpoint"):
            self.steering.done(command)
