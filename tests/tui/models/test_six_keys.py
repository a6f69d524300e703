"""Nothing is asked that is already here: a cached model and a file become a run in six keys."""

import json

import pytest


@pytest.mark.parametrize("patient", [True, False])
def test_a_cached_model_and_one_data_file_are_launched_with_six_keys(
    drive, cached, folder, started, patient
):
    """U2"""
    cached("acme/ready")
    rows = [{"question": f"Where is city {n}?", "answer": f"In land {n}."} for n in range(40)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    async def scenario(eyes):
        await eyes.sees("No runs yet")
        keys = (("2", "[Model]", "acme/ready"), ("enter", "[Data]", "rows.jsonl"),
                ("enter", "[Preview]", "missing: nothing"), (">", "[Configure]", "Rank"),
                (">", "[Review]", "acme/ready"), ("enter", "3 Monitor", ""))  # fmt: skip
        for key, *seen in keys:
            await eyes.press("greater_than_sign" if key == ">" else key)
            if patient or key != ">":
                await eyes.sees(*seen, within_s=20)
        await eyes.until(lambda: started, 20, "the launch")

    drive(scenario)
    ((_, config),) = started
    assert config.model.name == "acme/ready"
    assert config.data.sources[0].source == str(folder / "rows.jsonl")
