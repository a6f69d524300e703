"""GGUF files as base models: what is none is refused, and a changed file is converted anew."""

import os

import numpy as np
import pytest
from gguf import GGUFWriter

from sft_tui.core import config_file, gguf, preflight
from sft_tui.core.config import ModelConfig
from sft_tui.core.errors import SftError
from sft_tui.core.prompt.tokenizer_cache import folder_of


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Writes a GGUF file that is whole, apart from what is left out of it."""
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))

    def write(*, without=(), tensors=1, parts=1):
        path = tmp_path / "Model.Q4_0.GGUF"
        writer = GGUFWriter(path, "llama")
        for name, add in {
            "architecture": lambda: None,
            "block_count": lambda: writer.add_block_count(1),
            "embedding_length": lambda: writer.add_embedding_length(8),
            "tokens": lambda: writer.add_token_list(["a", "b"]),
        }.items():
            if name not in without:
                add()
        writer.add_array("llama.numbers", [1, 2, 3])
        writer.add_array("llama.lists", [[1, 2], [3]])
        writer.add_uint16("split.count", parts)
        if "architecture" in without:
            del writer.kv_data[0]["general.architecture"]
        for number in range(tensors):
            writer.add_tensor(f"t{number}", np.ones((4, 8), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write


def test_a_gguf_file_is_a_model_and_its_folder_follows_its_content(put):
    file = put()
    assert gguf.is_gguf(str(file)) and not gguf.is_gguf("acme/model-GGUF")
    preflight.check(config_file.build([f"model.name={file}"]))
    first = folder_of(ModelConfig(name=str(file)))
    assert first == gguf.converted_folder(file) and first.name.startswith("model.q4_0-")
    os.utime(file, ns=(1, 1))
    assert folder_of(ModelConfig(name=str(file))) != first


@pytest.mark.parametrize("content", [None, b"", b"GGU", b"PK\x03\x04"])
def test_what_is_no_gguf_file_is_refused_before_a_start(put, content):
    file = put()
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SftError) as caught:
        preflight.check(config_file.build([f"model.name={file}"]))
    assert "no GGUF file" in caught.value.what or "No such file" in caught.value.why


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"without": ["architecture"]}, "names no architecture"),
        ({"without": ["block_count"]}, "has no llama.block_count: it holds no whole"),
        ({"without": ["tokens"]}, "has no tokenizer.ggml.tokens"),
        ({"tensors": 0}, "no weights"),
        ({"parts": 2}, "one of 2 parts"),
    ],
)
def test_a_file_that_holds_no_whole_model_says_at_once_what_it_lacks(put, facts, why):
    """Conversion would take its time first, and fill what is missing with chance."""
    with pytest.raises(SftError, match="cannot be converted") as caught:
        preflight.check(config_file.build([f"model.name={put(**facts)}"]))
    assert why in caught.value.why and caught.value.remedy


def test_a_copy_that_was_cut_off_is_refused_wherever_it_ends(put):
    whole = put(tensors=2).read_bytes()
    for size in (*range(4, len(whole) - 128, 7), len(whole) - 128):
        file = put()
        file.write_bytes(whole[:size])
        with pytest.raises(SftError, match="cannot be converted") as caught:
            gguf.refuse_unusable(file)
        assert "the copy is not whole" in caught.value.why


@pytest.mark.parametrize("tail", [b"\0" * 60, b"\xff" * 60, b"\3\0\0\0" + b"\xff" * 60])
def test_a_header_of_nonsense_is_refused(put, tail):
    file = put()
    file.write_bytes(b"GGUF" + tail)
    with pytest.raises(SftError, match="cannot be converted"):
        gguf.refuse_unusable(file)


def test_a_pipe_in_its_place_is_refused_at_once(put):
    file = put()
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(SftError, match="not a regular file"):
        gguf.checked(str(file))
