"""What tests of checkpoints share: a run that much could disturb, and the files of its folders."""

import torch
from safetensors.torch import load_file

EVERY_TWO = "save.every_steps=2"


def rich(configure, model, data, *sets):
    """Everything that could disturb a resume: dropout, shuffling, evaluation and samples."""
    return configure(
        model,
        data,
        "data.shuffle=true",
        f"data.eval_source={data}",
        "data.ignore_problems=[eval_leak]",
        "method.dropout=0.1",
        "optim.schedule=cosine",
        "optim.warmup_ratio=0.2",
        "optim.weight_decay=0.01",
        "train.gradient_accumulation=2",
        "train.epochs=2",
        "evaluate.every_steps=2",
        "evaluate.samples=1",
        "evaluate.sample_max_tokens=4",
        EVERY_TWO,
        *sets,
    )


def folders(run):
    return sorted(path.name for path in run.checkpoints.iterdir())


def tensors(run, step, name):
    return load_file(run.checkpoints / f"step-{step}" / f"{name}.safetensors")


def assert_identical(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name
