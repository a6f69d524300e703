import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sft_tui.core.config import DataConfig
from sft_tui.core.prompt.prompts import Formatter, Prompt
from sft_tui.core.prompt.tokens import IGNORED, encode

TURNS = [("user", "Where is Paris?"), ("assistant", "In France.")]
MORE = [*TURNS, ("user", "And the tower?"), ("assistant", "In Paris.")]


@pytest.fixture
def tokenise(facts_of):
    """Encodes one prompt, or one row with a template, under the given data settings."""

    def make(tokenizer, what, template="auto", **settings):
        facts = facts_of(tokenizer)
        prompt = what if isinstance(what, Prompt) else Formatter(template, facts).render(what)
        data = DataConfig(**settings)
        return encode([prompt], tokenizer.backend_tokenizer, facts, data)[0]

    return make


def trained_text(tokenizer, encoded):
    return tokenizer.decode([label for label in encoded.labels if label != IGNORED])


@pytest.mark.parametrize("kind", ["chatml", "bos", "generation"])
def test_ids_are_those_of_transformers(make_tokenizer, templates, tokenise, row, kind):
    tokenizer = make_tokenizer(templates[kind])
    conversation = [{"role": role, "content": content} for role, content in MORE]
    text = tokenizer.apply_chat_template(conversation, tokenize=False)
    expected = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenise(tokenizer, row(*MORE)).input_ids == expected


def test_generation_marks_train_the_tokens_that_transformers_masks_in(
    make_tokenizer, templates, tokenise, row
):
    tokenizer = make_tokenizer(templates["generation"])
    conversation = [{"role": role, "content": content} for role, content in MORE]
    expected = tokenizer.apply_chat_template(
        conversation, return_dict=True, return_assistant_tokens_mask=True
    )
    encoded = tokenise(tokenizer, row(*MORE))
    assert encoded.input_ids == expected["input_ids"]
    assert [label != IGNORED for label in encoded.labels] == [
        bool(on) for on in expected["assistant_masks"]
    ]


def test_marks_and_prefixes_train_the_same_tokens(make_tokenizer, templates, tokenise, row):
    by_mark, by_prefix = (
        tokenise(make_tokenizer(templates[kind]), row(*MORE)) for kind in ("generation", "chatml")
    )
    assert by_mark == by_prefix


def test_a_label_is_its_own_token_and_not_the_next(make_tokenizer, templates, tokenise, row):
    encoded = tokenise(make_tokenizer(templates["chatml"]), row(*MORE))
    pairs = zip(encoded.input_ids, encoded.labels, strict=True)
    assert all(label in (token, IGNORED) for token, label in pairs)


def test_the_end_of_a_turn_is_trained_once_and_the_line_feed_after_it_never(
    make_tokenizer, templates, tokenise, row
):
    tokenizer = make_tokenizer(templates["chatml"])
    encoded = tokenise(tokenizer, row(*TURNS))
    assert trained_text(tokenizer, encoded) == "In France.<|im_end|>"
    assert tokenizer.decode(encoded.input_ids[-1:]) == "\n"
    assert encoded.labels[-1] == IGNORED


def test_alpaca_trains_one_end_token_though_it_is_the_padding_too(make_tokenizer, tokenise, row):
    tokenizer = make_tokenizer()
    end = tokenizer.eos_token_id
    assert tokenizer.pad_token_id == end
    encoded = tokenise(tokenizer, row(*TURNS))
    assert encoded.input_ids.count(end) == encoded.labels.count(end) == 1
    assert encoded.labels[-1] == end
    assert trained_text(tokenizer, encoded) == "In France.<|im_end|>"


def test_prompt_and_answer_are_tokenised_as_one_text(make_tokenizer, tokenise):
    tokenizer = make_tokenizer()
    apart = tokenizer.encode("Response: ") + tokenizer.encode("Paris")
    whole = tokenizer.encode("Response: Paris")
    assert apart != whole
    assert tokenise(tokenizer, Prompt("Response: Paris", ((10, 15),), False)).input_ids == whole


def test_a_token_over_the_edge_of_an_answer_is_trained_and_counted(make_tokenizer, tokenise):
    tokenizer = make_tokenizer()
    encoded = tokenise(tokenizer, Prompt("Response: Paris", ((10, 15),), False))
    assert trained_text(tokenizer, encoded) == " Paris"
    assert encoded.straddling == 1


def test_an_answer_with_clean_edges_counts_no_straddling_token(make_tokenizer, tokenise):
    encoded = tokenise(make_tokenizer(), Prompt("Response: Paris", ((9, 15),), False))
    assert encoded.straddling == 0


@pytest.mark.parametrize("kind", [None, "chatml", "bos"])
def test_there_is_one_bos_when_the_tokenizer_adds_one(
    make_tokenizer, templates, tokenise, row, kind
):
    tokenizer = make_tokenizer(templates.get(kind), adds_bos=True)
    encoded = tokenise(tokenizer, row(*TURNS))
    assert encoded.input_ids.count(tokenizer.bos_token_id) == 1
    assert encoded.input_ids[0] == tokenizer.bos_token_id
    assert encoded.labels[0] == IGNORED
    assert trained_text(tokenizer, encoded) == "In France.<|im_end|>"


@pytest.mark.parametrize(("kind", "count"), [(None, 0), ("chatml", 0), ("bos", 1)])
def test_no_bos_is_added_for_a_tokenizer_that_adds_none(
    make_tokenizer, templates, tokenise, row, kind, count
):
    tokenizer = make_tokenizer(templates.get(kind))
    encoded = tokenise(tokenizer, row(*TURNS))
    assert encoded.input_ids.count(tokenizer.bos_token_id) == count


def test_what_stands_before_the_answer_start_is_the_prompt(
    make_tokenizer, templates, tokenise, row
):
    tokenizer = make_tokenizer(templates["chatml"])
    encoded = tokenise(tokenizer, row(*MORE))
    conversation = [{"role": "user", "content": "Where is Paris?"}]
    prompt = tokenizer.apply_chat_template(conversation, add_generation_prompt=True)["input_ids"]
    assert encoded.input_ids[: encoded.answer_start] == prompt


@pytest.mark.parametrize("loss_on", ["completion", "full", "last_turn"])
def test_the_answer_starts_at_one_place_whatever_is_trained(
    make_tokenizer, templates, tokenise, row, loss_on
):
    tokenizer = make_tokenizer(templates["chatml"])
    encoded = tokenise(tokenizer, row(*MORE), loss_on=loss_on)
    assert tokenizer.decode(encoded.input_ids[: encoded.answer_start]).endswith("assistant\n")
    assert tokenizer.decode(encoded.input_ids[encoded.answer_start :]).startswith("In France.")


def test_loss_on_full_trains_every_token_of_the_text(make_tokenizer, templates, tokenise, row):
    encoded = tokenise(make_tokenizer(templates["chatml"]), row(*TURNS), loss_on="full")
    assert encoded.labels == encoded.input_ids
    assert encoded.trained == len(encoded.input_ids) - 1


def test_loss_on_the_last_turn_trains_only_the_last_answer(
    make_tokenizer, templates, tokenise, row
):
    tokenizer = make_tokenizer(templates["chatml"])
    encoded = tokenise(tokenizer, row(*MORE), loss_on="last_turn")
    assert trained_text(tokenizer, encoded) == "In Paris.<|im_end|>"


@pytest.mark.parametrize("truncate", ["keep_start", "keep_end"])
def test_a_long_row_is_cut_at_the_chosen_side_with_its_labels(
    make_tokenizer, templates, tokenise, row, truncate
):
    tokenizer = make_tokenizer(templates["chatml"])
    whole = tokenise(tokenizer, row(*MORE))
    length = len(whole.input_ids) - 5
    cut = tokenise(tokenizer, row(*MORE), truncate=truncate, max_length=length)
    kept = slice(0, length) if truncate == "keep_start" else slice(5, None)
    assert cut.input_ids == whole.input_ids[kept]
    assert cut.labels == whole.labels[kept]
    assert cut.cut_tokens == 5


def test_the_answer_start_moves_with_a_cut_at_the_start(make_tokenizer, templates, tokenise, row):
    tokenizer = make_tokenizer(templates["chatml"])
    whole = tokenise(tokenizer, row(*TURNS))
    length = len(whole.input_ids) - 3
    cut = tokenise(tokenizer, row(*TURNS), truncate="keep_end", max_length=length)
    answer = whole.input_ids[whole.answer_start :]
    assert cut.input_ids[cut.answer_start :] == answer


def test_a_row_whose_answer_is_cut_away_has_nothing_trained(
    make_tokenizer, templates, tokenise, row
):
    tokenizer = make_tokenizer(templates["chatml"])
    encoded = tokenise(tokenizer, row(*TURNS), max_length=8)
    assert len(encoded.input_ids) == 8
    assert encoded.trained == 0


def test_drop_returns_the_long_row_whole_for_its_caller(make_tokenizer, templates, tokenise, row):
    tokenizer = make_tokenizer(templates["chatml"])
    whole = tokenise(tokenizer, row(*TURNS))
    encoded = tokenise(tokenizer, row(*TURNS), truncate="drop", max_length=8)
    assert encoded.input_ids == whole.input_ids
    assert encoded.cut_tokens == len(whole.input_ids) - 8


def test_a_row_of_exactly_the_longest_length_is_kept_whole(
    make_tokenizer, templates, tokenise, row
):
    tokenizer = make_tokenizer(templates["chatml"])
    whole = tokenise(tokenizer, row(*TURNS))
    assert tokenise(tokenizer, row(*TURNS), max_length=len(whole.input_ids)) == whole


def test_a_first_token_is_never_counted_as_trained(make_tokenizer, tokenise):
    """Nothing stands before it from which it could be predicted."""
    encoded = tokenise(make_tokenizer(), Prompt("Paris is old", ((0, 5),), False))
    assert encoded.labels[0] != IGNORED
    assert encoded.trained == sum(label != IGNORED for label in encoded.labels) - 1


def test_characters_of_several_tokens_are_trained_whole(make_tokenizer, tokenise):
    tokenizer = make_tokenizer()
    encoded = tokenise(tokenizer, Prompt("Q😀日A😀日", ((4, 6),), False))
    assert trained_text(tokenizer, encoded) == "😀日"


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_the_text_the_mask_covers_the_answer_and_its_end_alone(
    data, make_tokenizer, facts_of, templates, row
):
    """The offsets of all tokens are the oracle; the code under test asks for edges alone."""
    kind = data.draw(st.sampled_from(["chatml", "generation", "bos"]))
    adds_bos = data.draw(st.booleans())
    tokenizer = make_tokenizer(templates[kind], adds_bos=adds_bos)
    facts = facts_of(tokenizer)
    texts = data.draw(st.lists(TEXT, min_size=2, max_size=6).filter(lambda t: len(t) % 2 == 0))
    # A marker inside a text is another test's matter.
    texts = [text.replace("<", "(") for text in texts]
    turns = [(("user", "assistant")[index % 2], text) for index, text in enumerate(texts)]
    limit = data.draw(st.sampled_from([8, 40, 10_000]))
    settings_ = DataConfig(
        max_length=limit, truncate=data.draw(st.sampled_from(["keep_start", "keep_end"]))
    )
    prompt = Formatter("chat", facts).render(row(*turns))
    (encoded,) = encode([prompt], tokenizer.backend_tokenizer, facts, settings_)

    assert len(encoded.input_ids) <= limit
    assert all(
        label in (IGNORED, token)
        for label, token in zip(encoded.labels, encoded.input_ids, strict=True)
    )
    whole = tokenizer.backend_tokenizer.encode(prompt.text, add_special_tokens=False)
    expected = [
        token if any(start < last and end > first for first, last in prompt.spans) else IGNORED
        for token, (start, end) in zip(whole.ids, whole.offsets, strict=True)
    ]
    ids = whole.ids
    if adds_bos and ids[0] != facts.bos_id:
        ids, expected = [facts.bos_id, *ids], [IGNORED, *expected]
    cut = max(len(ids) - limit, 0)
    if cut and settings_.truncate == "keep_start":
        expected = expected[:limit]
    elif cut:
        head = int(ids[0] == facts.bos_id)
        expected = expected[:head] + expected[head + cut :]
    assert encoded.labels == expected
    if not cut:
        trained = tokenizer.decode([label for label in encoded.labels if label != IGNORED])
        assert trained == "".join(f"{text}<|im_end|>" for text in texts[1::2])
