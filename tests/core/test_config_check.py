"""Choices that exclude each other are refused with both fields and the way out of each."""

import pytest

from sft_tui.core import config_file
from sft_tui.core.config import ConfigError

FSDP = ["launch.strategy=fsdp", "launch.devices=2"]
FULL, NF4 = "method.kind=full", "model.quantisation=nf4"
EXPERTS = "method.target_parameters=[gate_up_proj]"


@pytest.mark.parametrize(
    ("sets", "path", "other"),
    [
        ([FULL, NF4], "model.quantisation", "method.kind"),
        (["method.freeze=[lm_head]"], "method.freeze", "method.kind"),
        (["method.init=pissa", NF4], "method.init", "model.quantisation"),
        (["method.init=olora", NF4], "method.init", "model.quantisation"),
        (["method.init=orthogonal", "method.rank=7"], "method.rank", "method.init"),
        ([EXPERTS, "method.dropout=0.1"], "method.dropout", "method.target_parameters"),
        ([EXPERTS, "method.dora=true"], "method.dora", "method.target_parameters"),
        ([EXPERTS, "method.init=pissa"], "method.init", "method.target_parameters"),
        ([EXPERTS, "method.init=orthogonal"], "method.init", "method.target_parameters"),
        ([EXPERTS, FULL], "method.target_parameters", "method.kind"),
        (["method.dora=true", FULL], "method.dora", "method.kind"),
        (["method.rslora=true", FULL], "method.rslora", "method.kind"),
        (["method.init=gaussian", FULL], "method.init", "method.kind"),
        ([*FSDP, NF4], "model.quantisation", "launch.strategy"),
        ([*FSDP, "optim.name=adamw_8bit"], "optim.name", "launch.strategy"),
        ([*FSDP, "train.precision=fp16"], "train.precision", "launch.strategy"),
        (["launch.device_ids=[0, 1]", "launch.devices=3"], "launch.devices", "launch.device_ids"),
        (
            ["launch.device_ids=[0]", "launch.accelerator=cpu"],
            "launch.device_ids",
            "launch.accelerator",
        ),
        (["launch.devices=2", "launch.accelerator=mps"], "launch.devices", "launch.accelerator"),
    ],
)
def test_a_clash_names_both_fields_and_the_remedy(sets, path, other):
    with pytest.raises(ConfigError) as caught:
        config_file.build(sets)
    (problem,) = caught.value.problems
    assert problem.path == path and problem.others == (other,)
    assert path in problem.message and other in problem.message
    assert "set " in problem.message or "leave" in problem.message


@pytest.mark.parametrize(
    "sets",
    [
        ["optim.decay_ratio=0.5"],
        [FULL, "method.freeze=[lm_head]"],
        [NF4, "method.dora=true"],
        [NF4, "method.init=orthogonal"],
        [EXPERTS, "method.init=gaussian", "method.rslora=true"],
        ["method.init=pissa", "method.dora=true", "method.dropout=0.1"],
        [NF4, EXPERTS],
        [FULL, "method.rank=7"],
        ["launch.strategy=fsdp", NF4],
        ["launch.devices=2", NF4],
        ["launch.device_ids=[3, 1]", "launch.devices=2"],
    ],
)
def test_what_goes_together_passes(sets):
    config_file.build(sets)


def test_a_gpu_that_is_named_twice_is_refused():
    with pytest.raises(ConfigError, match="twice: 1, 0, 1"):
        config_file.build(["launch.device_ids=[1, 0, 1]"])
