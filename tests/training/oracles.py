"""What our numbers are compared with: a loop written by hand, and transformers' Trainer."""

from typing import Any

import torch
import torch.nn.functional as F
from accelerate.utils import set_seed
from transformers import Trainer, TrainingArguments, get_scheduler

from sft_tui.core.data.sources import load
from sft_tui.core.prompt.prompts import Formatter
from sft_tui.core.prompt.tokens import encode
from sft_tui.core.training.method import attach_lora, unfreeze
from sft_tui.core.training.model import load_base
from sft_tui.core.training.precision import base_precision
from sft_tui.core.training.tokenizer import load_tokenizer, tokenizer_facts

LOSS = 5e-6


def encoded(config: Any, tokenizer: Any) -> list[Any]:
    """The rows of a configuration, in file order."""
    facts = tokenizer_facts(tokenizer)
    source = config.data.sources[0]
    formatter = Formatter(source.template, facts)
    prompts = [formatter.render(row) for row in load(source, config.data).rows]
    return encode(prompts, tokenizer.backend_tokenizer, facts, config.data)


def fresh(config: Any) -> tuple[Any, list[Any]]:
    """Returns the model that the recipe starts with, and its rows."""
    base = load_base(config.model.name, config.model, base_precision(config))
    set_seed(config.train.seed)
    method = config.method
    model = attach_lora(base, method) if method.kind == "lora" else unfreeze(base, method.freeze)
    return model, encoded(config, load_tokenizer(config.model.name))


def by_hand(model: Any, rows: list[Any], config: Any, steps: int) -> list[tuple[float, float]]:
    """Trains one unpadded row at a time and returns (loss, gradient norm) of each step."""
    trained = [p for p in model.parameters() if p.requires_grad]
    kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
    optim = config.optim
    optimizer = kinds[optim.name](
        trained, lr=optim.learning_rate, weight_decay=optim.weight_decay, eps=optim.eps
    )
    scheduler = get_scheduler(config.optim.schedule, optimizer, 0, steps)
    size = config.train.micro_batch_size * config.train.gradient_accumulation
    windows = [rows[start : start + size] for start in range(0, len(rows), size)]
    told = []
    model.train()
    for step in range(steps):
        window = windows[step % len(windows)]
        count = sum(label != -100 for row in window for label in row.labels[1:])
        total = 0.0
        for row in window:
            logits = model(input_ids=torch.tensor([row.input_ids])).logits[0, :-1]
            targets = torch.tensor(row.labels[1:])
            loss = F.cross_entropy(logits, targets, reduction="sum", ignore_index=-100) / count
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(trained, config.optim.max_grad_norm)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        told.append((total, norm.item()))
    return told


def by_trainer(model: Any, rows: list[Any], config: Any, pad: int, folder: Any) -> list[Any]:
    """Trains with transformers' Trainer and returns what it logged of each step."""

    def padded(batch: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        length = max(len(row["input_ids"]) for row in batch)

        def column(name: str, fill: int) -> torch.Tensor:
            return torch.tensor([r[name] + [fill] * (length - len(r[name])) for r in batch])

        mask = [[1] * len(r["input_ids"]) + [0] * (length - len(r["input_ids"])) for r in batch]
        return {
            "input_ids": column("input_ids", pad),
            "labels": column("labels", -100),
            "attention_mask": torch.tensor(mask),
        }

    arguments = TrainingArguments(
        output_dir=str(folder),
        train_sampling_strategy="sequential",
        use_cpu=True,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        per_device_train_batch_size=config.train.micro_batch_size,
        gradient_accumulation_steps=config.train.gradient_accumulation,
        num_train_epochs=config.train.epochs,
        learning_rate=config.optim.learning_rate,
        lr_scheduler_type=config.optim.schedule,
        warmup_steps=0,
        weight_decay=0.0,
        adam_epsilon=config.optim.eps,
        max_grad_norm=config.optim.max_grad_norm,
        optim="adamw_torch",
        seed=config.train.seed,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    data = [{"input_ids": row.input_ids, "labels": row.labels} for row in rows]
    trainer = Trainer(model, arguments, train_dataset=data, data_collator=padded)
    trainer.train()
    return [entry for entry in trainer.state.log_history if "loss" in entry]
