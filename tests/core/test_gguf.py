"""GGUF files as base models: what is none is refused, and a changed file is converted anew."""

import os

import pytest

from sft_tui.core import config_file, gguf, preflight
from sft_tui.core.config import ModelConfig
from sft_tui.core.errors import SftError
from sft_tui.core.prompt.tokenizer_cache import folder_of


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))
    path = tmp_path / "Model.Q4_0.GGUF"
    path.write_bytes(b"GGUF" + bytes(60))
    return path


def test_a_gguf_file_is_a_model_and_its_folder_follows_its_content(file):
    assert gguf.is_gguf(str(file)) and not gguf.is_gguf("acme/model-GGUF")
    preflight.check(config_file.build([f"model.name={file}"]))
    first = folder_of(ModelConfig(name=str(file)))
    assert first == gguf.converted_folder(file) and first.name.startswith("model.q4_0-")
    os.utime(file, ns=(1, 1))
    assert folder_of(ModelConfig(name=str(file))) != first


@pytest.mark.parametrize("content", [None, b"", b"GGU", b"PK\x03\x04"])
def test_what_is_no_gguf_file_is_refused_before_a_start(file, content):
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SftError) as caught:
        preflight.check(config_file.build([f"model.name={file}"]))
    assert "no GGUF file" in caught.value.what or "No such file" in caught.value.why


def test_a_pipe_in_its_place_is_refused_at_once(file):
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(SftError, match="not a regular file"):
        gguf.checked(str(file))
