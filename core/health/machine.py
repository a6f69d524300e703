"""Rules about what it costs: waiting, memory, heat, disk, and what would be lost."""

from .view import Told, View, percent
from .vitals import of_run, others_use

_GIB = 1 << 30


def data_wait(run: View) -> Told:
    """The device waits for data."""
    share = run.waiting()
    if share is None or share <= run.limits["share"]:
        return None
    return (
        f"{percent(share)} of the time the device waits for data",
        "a processor puts the rows of a step together: see what else keeps this host busy",
        0,
    )


def gpu_idle(run: View) -> Told:
    """The GPUs have nothing to do."""
    devices = run.vitals.devices
    if (seconds := _lasting(devices.idle_since, devices.now, run)) is None:
        return None
    return (
        f"GPU idle for {seconds:.0f} s while steps should be trained",
        "read the last lines of the log; a stack dump tells where the trainer waits",
        0,
    )


def straggler(run: View) -> Told:
    """One GPU is behind the others."""
    devices, sample = run.vitals.devices, run.history.system
    lasting = [
        i for i, t in devices.slow_since.items() if _lasting(t, devices.now, run) is not None
    ]
    gpus = [] if sample is None else of_run(sample, run.started)
    found = [gpu for gpu in gpus if gpu.index in lasting and gpu.utilisation is not None]
    if not found:
        return None
    gpu, others = found[0], others_use(found[0], gpus)
    if gpu.utilisation is None or others is None:
        return None
    return (
        f"GPU {gpu.index} is at {percent(gpu.utilisation)}, the others at {percent(others)}",
        "see what else computes there, or leave it out with launch.device_ids",
        gpu.index,
    )


def mem(run: View) -> Told:
    """Hardly any memory is left."""
    sample = run.history.system
    if sample is None or not run.history.steps:
        return None
    peak = run.history.steps[-1].memory_bytes
    if peak is None:
        return None
    sizes = [gpu.memory_total_bytes or 0 for gpu in of_run(sample, run.started)]
    # Where GPUs differ, the peak is of one that holds it.
    total = min((size for size in sizes if size >= peak), default=0)
    if not total or peak < run.limits["share"] * total:
        return None
    return (
        f"{peak / _GIB:.1f} of {total / _GIB:.1f} GiB at peak; a longer batch may fail",
        run.smaller_batch,
        0,
    )


def padding(run: View) -> Told:
    """Much of what is computed is padding."""
    lost = run.padding()
    if lost is None or 1 - lost >= run.limits["useful"]:
        return None
    return (
        f"{percent(lost)} of the computed tokens are padding",
        f"packing (data.pack) would train about {1 / (1 - lost):.1f}× more per step"
        if lost < 1
        else "turn packing on (data.pack)",
        0,
    )


def heat(run: View) -> Told:
    """A GPU slows itself."""
    devices, sample = run.vitals.devices, run.history.system
    for gpu in [] if sample is None else of_run(sample, run.started):
        seconds = _lasting(devices.hot_since.get(gpu.index), devices.now, run)
        if seconds is not None:
            warm = "" if gpu.temperature_c is None else f" ({gpu.temperature_c:.0f} °C)"
            return (
                f"GPU {gpu.index} slows itself{warm} for {seconds:.0f} s",
                "see to its cooling and power limit; steps take longer until then",
                gpu.index,
            )
    return None


def disk(run: View) -> Told:
    """Hardly any space is left for checkpoints."""
    sample, saved = run.history.system, run.history.checkpoints
    if sample is None or sample.disk_free_bytes is None or not saved:
        return None
    free, size = sample.disk_free_bytes, saved[-1].bytes
    if free >= run.limits["checkpoints"] * size:
        return None
    keep = "" if run.config is None else f" (now {run.config.save.keep})"
    return (
        f"{free / _GIB:.1f} GiB left where the run lies, a checkpoint needs {size / _GIB:.1f} GiB",
        f"free space there, or lower save.keep{keep} with a resume",
        0,
    )


def no_save(run: View) -> Told:
    """Much work would be lost."""
    history, started = run.history, run.started
    if started is None or history.last_t is None:
        return None
    saved = history.checkpoints[-1].t if history.checkpoints else 0.0
    minutes = (history.last_t - max(saved, started.t)) / 60
    if minutes > run.limits["old_min"]:
        if saved > started.t:
            return f"Last checkpoint is {minutes:.0f} min old", "save one now", 0
        return f"No checkpoint for {minutes:.0f} min, since the start", "save one now", 0
    total = history.total_steps
    if run.config is None or total is None or saved > started.t:
        return None
    every = history.changed.get("save_every_steps", run.config.save.every_steps)
    left = history.time_left()
    if (every is not None and every < total) or left is None:
        return None
    whole = minutes + left.seconds / 60
    if whole <= run.limits["long_min"]:
        return None
    return (
        f"No checkpoint is planned before the end at step {total}, {whole:.0f} min after the start",
        "save one now, or set save.every_steps",
        0,
    )


def _lasting(since: float | None, now: float | None, run: View) -> float | None:
    """Returns for how many seconds something lasts, where that is long enough for the rule."""
    if since is None or now is None or now - since < run.limits["seconds"]:
        return None
    return now - since
