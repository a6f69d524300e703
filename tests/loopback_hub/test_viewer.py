"""The Dataset Viewer's answers, by plain HTTP."""

import pytest


def ask(http, route, **query):
    return http.get(f"/{route}", params=query)


def test_configs_and_splits_are_declared_or_guessed_by_names(http):
    def splits(dataset):
        rows = ask(http, "splits", dataset=dataset).json()["splits"]
        return [(row["config"], row["split"]) for row in rows]

    assert splits("acme/configured") == [
        ("english", "train"),
        ("english", "test"),
        ("german", "train"),
    ]
    assert splits("acme/chat") == [("default", "train"), ("default", "test")]
    assert splits("acme/table") == [("default", "train")]


def test_rows_come_with_their_features_and_numbers(http):
    where = {"dataset": "acme/chat", "config": "default", "split": "train"}

    first = ask(http, "first-rows", **where).json()
    part = ask(http, "rows", **where, offset=150, length=3).json()

    assert len(first["rows"]) == 100
    assert first["truncated"]
    assert first["features"] == part["features"]
    assert first["features"][0]["type"]["_type"] == "List"
    assert [row["row_idx"] for row in part["rows"]] == [150, 151, 152]
    assert part["num_rows_total"] == 200


def test_numbers_of_a_csv_file_are_numbers(http):
    where = {"dataset": "acme/table", "config": "default", "split": "train"}

    answer = ask(http, "rows", **where).json()

    types = {feature["name"]: feature["type"]["dtype"] for feature in answer["features"]}
    assert types == {"instruction": "string", "output": "string", "score": "int64"}


def test_long_cells_are_cut_and_named(http):
    where = {"dataset": "acme/long-texts", "config": "default", "split": "train"}

    rows = ask(http, "first-rows", **where).json()["rows"]

    lengths = [len(row["row"]["text"]) for row in rows]
    assert [bool(row["truncated_cells"]) for row in rows] == [length == 100 for length in lengths]
    assert {True, False} == {length == 100 for length in lengths}


def test_the_sizes_are_those_of_all_splits(http):
    size = ask(http, "size", dataset="acme/configured").json()["size"]

    assert size["dataset"]["num_rows"] == 12
    assert [row["num_rows"] for row in size["configs"]] == [9, 3]


@pytest.mark.parametrize(
    ("route", "query", "status", "code"),
    [
        ("splits", {"dataset": "acme/absent"}, 401, "ExternalUnauthenticatedError"),
        ("splits", {"dataset": "acme/gated-chat"}, 401, "ExternalUnauthenticatedError"),
        ("splits", {"dataset": "acme/script"}, 501, "DatasetWithScriptNotSupportedError"),
        ("splits", {"dataset": "acme/empty"}, 500, "EmptyDatasetError"),
        ("rows", {"dataset": "acme/chat", "config": "no"}, 404, "ConfigNotFoundError"),
        ("rows", {"dataset": "acme/chat", "config": "default"}, 404, "SplitNotFoundError"),
        ("splits", {}, 422, "MissingRequiredParameter"),
    ],
)
def test_what_cannot_be_shown_says_why(http, route, query, status, code):
    answer = ask(http, route, **query)

    assert (answer.status_code, answer.headers["x-error-code"]) == (status, code)


def test_validity_is_told_without_an_error(http):
    answers = [ask(http, "is-valid", dataset=f"acme/{name}").json() for name in ("chat", "script")]

    assert [answer["viewer"] for answer in answers] == [True, False]
