"""A peer as its documentation has it, run in an environment of its own; knows nothing of us.

    python peer.py OPTIONS.json

Writes one JSON line a step to the file that the options name, then one about the process.
"""

import json
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback, set_seed


class Clock(TrainerCallback):
    """Writes when each step's loss was known: a GPU has done the step by then."""

    def __init__(self, file) -> None:
        self._file = file

    def on_log(self, args, state, control, logs=None, **_):
        if logs and "loss" in logs:
            told = {"step": state.global_step, "t": time.time(), "loss": float(logs["loss"])}
            self._file.write(json.dumps(told) + "\n")
            self._file.flush()


class Rows(torch.utils.data.Dataset):
    """Rows that were tokenised before."""

    column_names = ("input_ids", "labels")

    def __init__(self, rows) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index):
        return self._rows[index]


def padded(rows, pad_id: int):
    """Pads rows on the right, as transformers' collators do."""
    longest = max(len(row["input_ids"]) for row in rows)

    def filled(key: str, value: int) -> torch.Tensor:
        return torch.tensor([r[key] + [value] * (longest - len(r[key])) for r in rows])

    mask = [[1] * len(r["input_ids"]) + [0] * (longest - len(r["input_ids"])) for r in rows]
    return {
        "input_ids": filled("input_ids", pad_id),
        "labels": filled("labels", -100),
        "attention_mask": torch.tensor(mask),
    }


def main(path: str) -> None:
    """Trains what the options say."""
    with open(path) as file:
        options = json.load(file)
    set_seed(options["seed"])
    tokenizer = AutoTokenizer.from_pretrained(options["model"])
    dtype = torch.bfloat16 if options["precision"] == "bf16" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(options["model"], dtype=dtype)
    lora = LoraConfig(
        r=8, lora_alpha=32, lora_dropout=0.0, task_type="CAUSAL_LM",
        target_modules=options["target_modules"],
    )  # fmt: skip
    settings = {
        "output_dir": options["output"],
        "per_device_train_batch_size": options["micro_batch_size"],
        "max_steps": options["steps"],
        "learning_rate": 1e-4,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 1.0,
        "logging_steps": 1,
        "report_to": [],
        "save_strategy": "no",
        "bf16": False,
        "use_cpu": not torch.cuda.is_available(),
        "torch_compile": options["compile"],
        "gradient_checkpointing": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "disable_tqdm": True,
        "train_sampling_strategy": "sequential",
    }
    pad_id = tokenizer.pad_token_id

    def collate(rows):
        return padded(rows, pad_id)

    out = open(options["out"], "w")
    if options["peer"] == "trl":
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer

        trainer = SFTTrainer(
            model,
            args=SFTConfig(**settings, dataset_kwargs={"skip_prepare_dataset": True}),
            train_dataset=Dataset.from_list(options["rows"]),
            data_collator=collate,
            peft_config=lora,
            processing_class=tokenizer,
            callbacks=[Clock(out)],
        )
    else:
        from transformers import Trainer, TrainingArguments

        settings["remove_unused_columns"] = False
        trainer = Trainer(
            get_peft_model(model, lora),
            args=TrainingArguments(**settings),
            train_dataset=Rows(options["rows"]),
            data_collator=collate,
            callbacks=[Clock(out)],
        )
    trainer.train()
    trainer.save_model(options["output"])
    on_gpu = torch.cuda.is_available()
    peak = torch.cuda.max_memory_allocated() if on_gpu else None
    out.write(json.dumps({"done": True, "peak": peak, "versions": versions()}) + "\n")
    out.close()


def versions() -> dict[str, str]:
    """Returns what was run."""
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "peft", "accelerate", "trl")}


if __name__ == "__main__":
    main(sys.argv[1])
