"""The arithmetic of training, and how much of a GPU's it is."""

from collections.abc import Mapping

_PEAK_FLOPS: Mapping[str, float] = {
    "H200": 989e12, "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "A100": 312e12,
    "L40S": 362e12, "L4": 121e12, "A10G": 70e12, "A10": 125e12, "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}  # fmt: skip
"""Dense bf16 and fp16 operations a second, as NVIDIA's data sheets give them; the first name that
a GPU's holds counts."""


def peak_flops(gpu: str, precision: str) -> float | None:
    """Returns a GPU's operations a second; None where its data sheet is not known here.

    Args:
        gpu: Its name, as NVIDIA's driver tells it.
        precision: Of the products; that of fp32 depends on settings.
    """
    if precision not in ("bf16", "fp16"):
        return None
    words = gpu.replace("-", " ").split()

    def named(name: str) -> bool:
        wanted = name.split()
        return any(words[at : at + len(wanted)] == wanted for at in range(len(words)))

    return next((flops for name, flops in _PEAK_FLOPS.items() if named(name)), None)


def flops_per_token(trained: int, total: int) -> int:
    """Returns the operations of a token, forward and back, without attention's products.

    Two for each weight forward and two for the gradient of what it was given; two more for the
    gradient of a weight that is trained (Chowdhery et al. 2022, appendix B, by parts).
    """
    return 4 * total + 2 * trained
