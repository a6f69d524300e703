"""A model's folder that cannot be trained is refused by its files, before anything starts."""

import os
import shutil
import tempfile
from pathlib import Path

import msgspec
import pytest

from sft_tui.core import config_file, preflight, verify
from sft_tui.core.errors import SftError
from sft_tui.core.hub import local
from sft_tui.core.model_facts import facts_of
from tests.loopback_hub import samples

WEIGHTS = samples.safetensors_bytes({"w": (4, 8)})
WHOLE = {"config.json": "{}", "model.safetensors": WEIGHTS, "tokenizer.json": '{"model": {}}'}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"


@pytest.fixture
def config(tmp_path):
    """Returns a configuration whose model is a folder of files."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "Q?", "completion": "A."}\n')

    def of(files):
        folder = tmp_path / "model"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return config_file.build([f"model.name={folder}", f"data.source={rows}"])

    return of


@pytest.mark.parametrize(
    "tokenizer",
    [
        {"tokenizer.json": '{"added_tokens": [], "model": {"vocab": {"a": 0}}}'},
        {"tokenizer.model": b"\x0a"},
        {"vocab.json": "{}", "merges.txt": ""},
    ],
    ids=lambda files: " ".join(files),
)
def test_a_folder_with_a_tokenizer_of_some_kind_passes(config, tokenizer):
    weights = {"config.json": "{}", "model.safetensors": WEIGHTS}
    preflight.check(config({**weights, **tokenizer}))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "no tokenizer.json and no vocabulary"),
        ("{}\n", "tokenizer.json is damaged"),
        ('{"model": {', "tokenizer.json is damaged"),
        ("", "tokenizer.json is damaged"),
        (b"\xff\xfe", "tokenizer.json is damaged"),
        ("[]", "tokenizer.json is damaged"),
    ],
)
def test_a_tokenizer_that_is_missing_or_damaged_is_refused(config, content, why):
    files = {name: text for name, text in WHOLE.items() if name != "tokenizer.json"}
    with pytest.raises(SftError) as caught:
        preflight.check(config(files if content is None else {**files, "tokenizer.json": content}))
    assert why in caught.value.why and "tokenizer.json" in caught.value.remedy


@pytest.mark.parametrize(
    ("content", "why"),
    [(WEIGHTS[:-1], "its header names"), (POINTER, "Git LFS pointer in place of the weights")],
    ids=["cut off", "pointer"],
)
def test_damaged_weights_are_refused_by_train_and_fit_alike(config, content, why):
    bad = config({**WHOLE, "model.safetensors": content})
    for refuse in (preflight.check, lambda config: facts_of(config.model)):
        with pytest.raises(SftError) as caught:
            refuse(bad)
        assert why in caught.value.why and "git lfs pull" in caught.value.remedy


@pytest.fixture
def forbidden(config, monkeypatch):
    """A configuration whose weights this process may not read, also where it is root's."""
    bad = config(WHOLE)
    place = tempfile.mkdtemp()  # below it another user finds the model
    monkeypatch.chdir(place)
    os.chmod(place, 0o755)
    shutil.copytree(bad.model.name, f"{place}/model")
    path = Path(place, "model", "model.safetensors")
    path.chmod(0)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield config_file.build([f"model.name={path.parent}", f"data.source={__file__}"]), path
    os.seteuid(before)
    shutil.rmtree(place)


def test_weights_that_may_not_be_read_are_not_called_damaged(forbidden):
    config, path = forbidden
    folder = path.parent
    for refuse in (preflight.refuse_damaged, lambda _: facts_of(config.model), verify.look):
        with pytest.raises(SftError) as caught:
            refuse(folder)
        said = f"{caught.value}; {caught.value.remedy}"
        assert "damaged" not in said and "may not be read" in said
        assert "model.safetensors: its mode is ----------, its owner" in said and "you are" in said
        assert f"+r {path}" in caught.value.remedy
    assert "may not be read" in local.why_unusable(folder)


@pytest.mark.parametrize("name", ["a folder", "demo"])
def test_a_local_model_has_no_revisions(config, name):
    model = config(WHOLE).model if name == "a folder" else config_file.build([]).model
    asked = msgspec.structs.replace(model, revision="v2")
    rows = config_file.build(["data.source=demo"])
    with pytest.raises(SftError) as caught:
        preflight.check_inputs(msgspec.structs.replace(rows, model=asked))
    assert "'v2'" in str(caught.value) and caught.value.remedy == "leave model.revision out"
