"""Whether decoder layers are compiled, and whether this model's can be.

Compiling takes half a minute or more before the first step, so a short run would not gain by it.
What a first start chose stays for those that resume it: layers round differently once compiled.
"""

import shutil
import sysconfig
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from transformers.modeling_layers import GradientCheckpointingLayer

from ..config import RunConfig
from ..errors import SftError
from ..prompt.tokens import Encoded
from ..text import one_line
from .collate import Layout, collate
from .model import DTYPES, decoder_layers
from .precision import Precision
from .report import Report

CHOICE = "compile"
"""Its name among the choices of `run_started`."""
_GAIN = 1.17
"""How much faster a compiled step is: measured with bf16 on CPUs, 1.15 without matrix units and
1.17 to 1.21 with them."""
_TAKES_S = 30.0
"""Time that compiling takes when nothing is in torch's cache, on two cores."""
_WORTH = 1.5
"""How many times that must be saved."""
_REACHED = 0.35
"""Share of the speed of a large product that an eager step reaches, forward and back: 0.45 on a CPU
without matrix units, 0.32 with them."""
_FP32_PER_THREAD = {"AVX512": 1.6e11, "AVX2": 8e10}
"""Operations per second, by what torch calls a CPU: 1.4e11 to 1.8e11 were measured of AVX512."""
_FP32_OTHER = 2e10
_TENSOR_CORES, _CUDA_CORES = 2e12, 2e11
"""Of a multiprocessor, between Turing's and Hopper's: A100 has 108 for 312e12 and 19.5e12."""
_TRIAL_ROWS = 2
_BEFORE = "_checkpoints_eager"
"""Where a layer keeps how it was checkpointed before it was compiled."""
_NEVER = "off: train.compile is never"


def decide(
    model: Any,
    config: RunConfig,
    precision: Precision,
    tokens: int,
    rows: Sequence[Encoded],
    layout: Layout,
    chosen: dict[str, str],
    report: Report,
) -> str:
    """Compiles a model's layers in place where that pays; returns what was chosen and why.

    Args:
        model: As it is trained, its weights on their device.
        config: The run's.
        precision: In which it is run.
        tokens: That all steps of the run compute.
        rows: That are trained.
        layout: Of a micro-batch.
        chosen: The choices of the run's first start.
        report: Is told when compiling begins.

    Raises:
        SftError: `always` was asked for, and this model or machine cannot.
    """
    wanted = config.train.compile
    if wanted == "never":
        return _NEVER
    before = chosen.get(CHOICE, "").removeprefix(_NEVER)  # that may have changed since
    if wanted == "auto" and before.startswith("off"):
        return before
    if wanted == "auto" and not before:
        reason = _does_not_pay(model, config, tokens)
        if reason:
            return f"off: {reason}"
    report.phase("compiling")
    reason = _compile(model, precision, rows, layout)
    if not reason:
        return before or "on: each decoder layer"
    if wanted == "auto" and not before:
        return f"off: {reason}"
    raise SftError("the decoder layers cannot be compiled", reason, "set train.compile to never")


def _does_not_pay(model: Any, config: RunConfig, tokens: int) -> str:
    """Returns why a run is better off without; "" where it is not."""
    if config.launch.ranks > 1:
        return "several devices share each step"
    if config.model.quantisation != "none":
        return "the base is quantised"
    device = next(model.parameters()).device
    if device.type not in ("cpu", "cuda"):
        return f"not on {device.type}"
    if missing := _no_compiler(device):
        return missing
    ahead = _seconds(model, config, tokens, device)
    saved = ahead * (1 - 1 / _GAIN)
    if saved < _WORTH * _TAKES_S:
        minutes = f"{ahead / 60:.0f} minutes" if ahead >= 90 else f"{ahead:.0f} s"
        return f"about {minutes} of steps would not pay for it"
    return ""


def _no_compiler(device: torch.device) -> str:
    """Returns what torch would miss: a C++ compiler, and Python's headers to build against."""
    if device.type == "cuda":
        return ""  # triton comes with torch there
    if not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        return "no C++ compiler (g++) is installed"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        return "Python's headers (python3-dev) are not installed"
    return ""


def _seconds(model: Any, config: RunConfig, tokens: int, device: torch.device) -> float:
    """Returns about how long eager steps will take on such a device.

    Each token takes two operations for each weight forward, two to go back, and two more for
    weights that are trained themselves or for layers that are computed again.
    """
    weights = sum(p.numel() for p in model.parameters())
    passes = 2 + (config.method.kind == "full") + config.train.gradient_checkpointing
    rate = _operations_per_s(DTYPES[config.train.precision], device)
    return 2 * passes * weights * tokens / (_REACHED * rate)


def _operations_per_s(dtype: torch.dtype, device: torch.device) -> float:
    """Returns about how fast a device multiplies large matrices, by what it is.

    A stopwatch would tell otherwise on a busy machine, and a run whose layers are compiled rounds
    differently: two starts of one configuration on one machine choose the same.
    """
    if device.type == "cuda":
        many = torch.cuda.get_device_properties(device).multi_processor_count
        return many * (_TENSOR_CORES if dtype != torch.float32 else _CUDA_CORES)
    fp32 = _FP32_PER_THREAD.get(torch.backends.cpu.get_cpu_capability(), _FP32_OTHER)
    share = 0.01 if dtype == torch.float16 else 1.0  # which CPUs have no units for
    if dtype == torch.bfloat16:
        in_hardware = torch.cpu._is_avx512_bf16_supported()
        share = 7.0 if torch.cpu._is_amx_tile_supported() else 1.5 if in_hardware else 0.2
    return torch.get_num_threads() * fp32 * share


def _compile_layer(layer: Any) -> None:
    """Compiles a layer, or what is checkpointed of it.

    transformers checkpoints the `forward` of a layer within its call, and torch leaves all that is
    within a checkpoint as it is: a compiled call would compute each step like one that is not.
    """
    layer.compile(dynamic=True)
    if not (isinstance(layer, GradientCheckpointingLayer) and layer.gradient_checkpointing):
        return
    inner: Any = layer  # of which torch's types know less than it has
    evaluated, checkpoint = inner._compiled_call_impl, inner._gradient_checkpointing_func

    def compiled_inside(forward: partial[Any], *args: Any) -> Any:
        inside = partial(_compiled(forward.func), *forward.args, **forward.keywords)
        return checkpoint(inside, *args)

    def call(*args: Any, **kwargs: Any) -> Any:
        return (inner._call_impl if inner.training else evaluated)(*args, **kwargs)

    inner.__dict__[_BEFORE] = checkpoint
    inner._gradient_checkpointing_func = compiled_inside
    inner._compiled_call_impl = call


@cache
def _compiled(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the compiled `forward` of a kind of layer, one for all of its layers."""
    return torch.compile(forward, dynamic=True)


def _compile(model: Any, precision: Precision, rows: Sequence[Encoded], layout: Layout) -> str:
    """Compiles the layers and passes two rows through them; returns why that failed, or ""."""
    device = next(model.parameters()).device
    batch = collate(list(rows[:_TRIAL_ROWS]), layout).to(device)
    training = model.training
    model.train()
    layers: list[torch.nn.Module] = []
    try:
        layers = decoder_layers(model)
        for layer in layers:
            _compile_layer(layer)
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            with precision.arithmetic():
                loss = model(**batch.inputs, use_cache=False).logits.float().mean()
            loss.backward()
    except SftError as error:
        return error.why
    except Exception as error:  # whatever a compiler makes of a model's own code
        for layer in layers:
            layer._compiled_call_impl = None  # what `compile` sets
            if before := layer.__dict__.pop(_BEFORE, None):
                layer._gradient_checkpointing_func = before
        return f"{type(error).__name__}: {one_line(str(error), 160)}"
    finally:
        model.train(training)
        model.zero_grad()
    return ""
