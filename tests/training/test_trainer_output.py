"""An output folder of transformers' Trainer, read without transformers."""

import json

from transformers.trainer_callback import TrainerState

from sft_tui.core.foreign import look


def trainer_output(folder, *steps, end=30):
    """What transformers' Trainer leaves, as its TrainerState writes it."""
    for step in steps:
        log = [{"loss": 2 - at / 100, "learning_rate": 1e-4, "grad_norm": 0.5, "epoch": at / end,
                "step": at} for at in range(10, step + 1, 10)]  # fmt: skip
        log.append({"eval_loss": 1.5 - step / 100, "eval_runtime": 1.0, "step": step})
        state = TrainerState(
            global_step=step, max_steps=end, num_train_epochs=1, log_history=log,
            train_batch_size=4,
        )  # fmt: skip
        place = folder / f"checkpoint-{step}"
        place.mkdir(parents=True)
        state.save_to_json(str(place / "trainer_state.json"))
    return folder


def test_an_output_folder_of_transformers_gives_its_newest_state(tmp_path):
    folder = trainer_output(tmp_path / "out", 10, 30)
    (folder / "checkpoint-30" / "adapter_config.json").write_text(
        json.dumps({"r": 8, "lora_alpha": 16, "target_modules": ["v_proj", "q_proj"],
                    "base_model_name_or_path": "acme/tiny", "peft_type": "LORA"})
    )  # fmt: skip

    subject = look.read(folder)
    curve = subject.curves["loss"]

    assert (subject.source, subject.name, subject.status) == ("transformers", "out", "finished")
    assert list(zip(curve.step, curve.value, strict=True)) == [(10, 1.9), (20, 1.8), (30, 1.7)]
    assert subject.best == (1.2, 30)
    assert subject.curves["loss"].seconds is None
    assert subject.config == {
        "model.name": "acme/tiny", "method.rank": 8, "method.alpha": 16, "train.epochs": 1,
        "method.target_modules": ["q_proj", "v_proj"], "train.micro_batch_size": 4,
    }  # fmt: skip
    assert look.read(folder / "checkpoint-10").status is None
