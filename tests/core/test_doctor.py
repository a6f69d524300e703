"""What the doctor says of packages that only some configurations need."""

import importlib.metadata

from sft_tui.core import doctor


def only(monkeypatch, **installed: str) -> None:
    """Makes these the only packages of this Python."""

    def version(name: str) -> str:
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_missing_optional_packages_are_no_fault_and_named_with_what_brings_them(monkeypatch):
    only(monkeypatch, wandb="0.30.0", **{"mlflow-skinny": "3.17.2"})
    check = doctor._optional()

    assert check.state == "ok"
    assert check.found == (
        "wandb 0.30.0, mlflow 3.17.2, not installed: tensorboard, trackio, bitsandbytes"
    )
    assert "pip install 'sft-tui[tensorboard,trackio,qlora]'" in check.remedy


def test_where_all_are_there_nothing_is_asked_for(monkeypatch):
    names = ("wandb", "tensorboard", "trackio", "mlflow", "bitsandbytes")
    only(monkeypatch, **dict.fromkeys(names, "1.0"))

    assert doctor._optional().remedy == ""
    assert "not installed" not in doctor._optional().found
