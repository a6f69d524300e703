"""The draft as text: comes back as it was, and what is wrong is told with its line."""

import pytest

from sft_tui.core import config_file
from sft_tui.core.config import ConfigError
from sft_tui.core.draft import Draft
from sft_tui.core.draft_text import from_text, to_text
from sft_tui.core.errors import UsageError


def back(draft, text=None):
    again = Draft()
    config, lacks = from_text(text or to_text(draft))
    again.take(config, lacks=lacks)
    return again


def test_what_was_not_chosen_stays_not_chosen():
    draft = Draft()
    draft.set("method.rank", 8)

    again = back(draft)

    assert again.missing() == ["model", "data"] and again.raw() == draft.raw()
    assert "Not chosen yet, and empty below: model.name" in to_text(draft)


@pytest.mark.parametrize("lacks", ["model.name", "data.sources.0.source"])
def test_one_of_both_may_be_missing(lacks):
    draft = Draft()
    other = {"model.name": "data.sources.0.source", "data.sources.0.source": "model.name"}[lacks]
    draft.set(other, "/somewhere")
    assert back(draft).missing() == draft.missing() and back(draft).value(other) == "/somewhere"


def test_a_whole_draft_comes_back_equal_with_every_source():
    draft = Draft()
    draft.take(config_file.build(["data.sources=[{source: a}, {source: b, weight: 2}]"]))
    assert back(draft).config() == draft.config()


def test_what_was_missing_can_be_said_in_the_text():
    text = (
        to_text(Draft())
        .replace("name: ''", "name: acme/tiny")
        .replace("source: ''", "source: demo")
    )
    assert back(Draft(), text).missing() == []


def test_everything_wrong_is_told_with_its_line():
    text = to_text(Draft()).replace("rank: 16", "rank: -3\n  rnk: 4")
    line = text.splitlines().index("  rank: -3") + 1

    with pytest.raises(ConfigError) as wrong:
        from_text(text)

    assert [problem.line for problem in wrong.value.problems] == [line, line + 1]
    assert "the nearest is method.rank" in wrong.value.problems[1].message


@pytest.mark.parametrize(
    "text", ["model: [", "- a\n", "model: {name: 3}", "\t", "model: {name: [}"]
)
def test_what_is_no_configuration_is_refused(text):
    with pytest.raises(UsageError):
        from_text(text)
