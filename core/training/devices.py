"""Prints as JSON what torch sees on this machine; run as a process of its own."""

import json

import torch


def facts() -> dict[str, object]:
    """Returns torch's version, its devices, whether bf16 works there, and its CPU threads."""
    devices = ["cpu"]
    bf16 = True
    if torch.cuda.is_available():
        devices += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        bf16 = torch.cuda.is_bf16_supported()
    if torch.backends.mps.is_available():
        devices.append("mps")
    return {
        "version": str(torch.__version__),
        "devices": devices,
        "bf16": bf16,
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    print(json.dumps(facts()))
