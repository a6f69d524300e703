"""The whole way with a Hub, genuine clients and a token that must not be seen anywhere."""

import json
import threading

import psutil
import pytest

from tests.loopback_hub import samples

TOKEN = "hf_alicetoken12345"
SECRET = TOKEN.removeprefix("hf_")


@pytest.fixture
def hub_root(tmp_path):
    root = tmp_path / "hub"
    samples.model(root, "alice/base", private=True, pipeline_tag="text-generation")
    rows = "\n".join(map(json.dumps, samples.chat_rows(40)))
    samples.repository(root, "datasets", "alice/talks", {"train.jsonl": rows}, private=True)
    return root


class Watch:
    """Collects the command lines of everything that this test starts."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            for process in psutil.process_iter():
                try:
                    self.seen.add(" ".join(process.cmdline()))
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue


@pytest.mark.parametrize("given", ["environment", "file"])
def test_the_whole_way_with_a_private_model_and_no_trace_of_the_token(
    hub, cli, tmp_path, monkeypatch, sft_home, given
):
    if given == "environment":
        monkeypatch.setenv("HF_TOKEN", TOKEN + "\n")
    else:
        (tmp_path / "hf").mkdir()
        (tmp_path / "hf" / "token").write_text(TOKEN)
    told: list[str] = []

    def sft(*arguments):
        done = cli.sft(*arguments, timeout=240)
        told.append(done.stdout + done.stderr)
        assert done.returncode == 0, told[-1]
        return done.stdout

    with Watch() as watch:
        assert "alice/base" in sft("models", "base")
        assert "✓ fits" in sft("models", "base", "--fit")
        assert "LlamaForCausalLM" in sft("fit", "alice/base")
        assert "shape: messages" in sft("datasets", "alice/talks")
        sft("download", "alice/base")
        config = tmp_path / "run.yaml"
        config.write_text(
            "model: {name: alice/base}\ndata: {source: alice/talks, max_length: 128}\n"
            "train: {max_steps: 3, precision: fp32, micro_batch_size: 2}\n"
            "evaluate: {samples: 1, sample_max_tokens: 4}\n"
        )
        assert "Where is Paris?" in sft("preview", config)
        assert "FINISHED" in sft("train", config)
        assert "as alice" in sft("doctor")
        sft("show", "latest", "--json")
    (adapter,) = sft_home.glob("runs/*/adapter")
    made = json.loads((adapter / "adapter_config.json").read_text())
    assert made["base_model_name_or_path"] == "alice/base"

    assert not [line for line in told if SECRET in line]
    assert watch.seen and not [line for line in watch.seen if SECRET in line]
    for folder in (sft_home, tmp_path / "hf"):
        for path in folder.rglob("*"):
            if path.is_file() and path != tmp_path / "hf" / "token":
                assert SECRET.encode() not in path.read_bytes(), path
    assert all(r.account == "alice" for r in hub.requests if r.origin == "hub" and r.status == 200)
    assert all(r.account is None for r in hub.requests if r.origin == "cdn")
