import pytest

from sft_tui.core.text import one_line, printable, redact

SECRET = "hf_" + "aB3" * 10


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[31m",
        "\x1b[2J\x1b[H",
        "\x1b[?1049h",
        "\x1b[38;2;1;2;3m",
        "\x9b31m",
        "\x1b]52;c;cm0gLXJm\x07",
        "\x1b]52;c;cm0gLXJm\x1b\\",
        "\x1b]0;a new title\x07",
        "\x1b]8;;http://example.com\x1b\\",
        "\x1bP1$r0m\x1b\\",
        "\x1bc",
        "\x1b(B",
        "\x07",
        "\x00",
        "\x08",
        "\x7f",
        "\u202e",
        "\u2066",
        "\u2069",
        "\u200f",
    ],
)
def test_terminal_commands_and_overrides_vanish_from_text(hostile):
    assert printable(f"before{hostile}after") == "beforeafter"


@pytest.mark.parametrize(
    "torn", ["\x1b", "\x1b[", "\x1b[31", "\x1b]52;c;cm0", "\x9b", "\x1b\x00[31m", "\x1b[3\r1m"]
)
def test_no_control_character_is_left_of_a_torn_command(torn):
    shown = printable(f"before{torn}")
    assert shown.startswith("before")
    assert not any(letter in shown for letter in "\x1b\x9b\x00\r\x07")


@pytest.mark.parametrize(
    "plain",
    ["", "Paris is in France.", "a\tb\n\n  c", "ünï 日本 😀", "[bold]x[/] {y} \\n <|im_end|>"],
)
def test_plain_text_is_untouched(plain):
    assert printable(plain) == plain


def test_each_state_of_a_progress_bar_is_a_line():
    assert printable("10%\r20%\r\ndone\n") == "10%\n20%\ndone\n"


def test_shown_text_can_be_written_to_a_terminal():
    """JSON may hold half of a surrogate pair, which UTF-8 cannot."""
    printable("a\ud800b").encode()


@pytest.mark.parametrize("around", ["token={}", "{}\nnext", "line\n{}", "('{}',)", "a{}\r\n"])
def test_hub_tokens_are_hidden(around):
    shown = printable(around.format(SECRET))
    assert "hf_***" in shown
    assert "aB3" not in shown


def test_a_token_with_an_escape_sequence_inside_is_hidden():
    assert "aB3" not in printable(SECRET[:12] + "\x1b[31m" + SECRET[12:])


def test_every_token_of_a_text_is_hidden_and_the_rest_kept():
    assert redact(f"{SECRET} and {SECRET}, hf_model") == "hf_*** and hf_***, hf_model"


def test_one_line_joins_lines_and_hides_what_is_harmful():
    assert one_line(" a\n\n b\t\x1b[31mc\rd ") == "a b c d"


def test_one_line_is_cut_to_its_limit_with_an_ellipsis():
    assert one_line("abcdef", 6) == "abcdef"
    assert one_line("abcdefg", 6) == "abcde…"
