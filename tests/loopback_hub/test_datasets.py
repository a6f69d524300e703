"""Data sets as `load_dataset` loads them by name."""

from .samples import chat_rows

SCRIPT = """
from datasets import load_dataset
def outcome(*arguments, **options):
    try:
        load_dataset(*arguments, **options)
        return "loaded"
    except Exception as error:
        return type(error).__name__
chat = load_dataset("acme/chat")
answer = {
    "chat": {split: len(rows) for split, rows in chat.items()},
    "first": chat["train"][0],
    "slice": len(load_dataset("acme/chat", split="train[:5]")),
    "parquet": {s: len(rows) for s, rows in load_dataset("acme/configured", "english").items()},
    "german": load_dataset("acme/configured", "german", split="train")[0],
    "csv": load_dataset("acme/table", split="train").column_names,
    "streamed": [row["messages"][1]["content"]
        for row in load_dataset("acme/chat", split="train", streaming=True).take(2)],
    "streamed parquet": len(list(load_dataset("acme/configured", split="train", streaming=True))),
    "script": outcome("acme/script"),
    "empty": outcome("acme/empty"),
    "absent": outcome("acme/absent"),
    "gated": outcome("acme/gated-chat"),
    "config": outcome("acme/configured", "french"),
    "split": outcome("acme/chat", split="validation"),
}
"""


def test_data_sets_of_every_kind_are_loaded_by_name(hub, client):
    answer = client(hub, SCRIPT)

    assert answer == {
        "chat": {"train": 200, "test": 20},
        "first": chat_rows(1)[0],
        "slice": 5,
        "parquet": {"train": 8, "test": 1},
        "german": {"frage": "Wo liegt Bern?", "antwort": "In der Schweiz."},
        "csv": ["instruction", "output", "score"],
        "streamed": ["Paris is in France.", "Four."],
        "streamed parquet": 8,
        "script": "RuntimeError",
        "empty": "EmptyDatasetError",
        "absent": "DatasetNotFoundError",
        "gated": "DatasetNotFoundError",
        "config": "ValueError",
        "split": "ValueError",
    }


def test_a_private_data_set_is_loaded_with_its_owners_token(hub, client):
    script = """
    from datasets import load_dataset
    answer = len(load_dataset("alice/private-chat", split="train"))
    """

    assert client(hub, script, "hf_alice") == 8
