"""A prompt format for the rows of a source: chosen from the list, or a file of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING

from .....core.errors import SftError
from .....core.sidecar.preview_calls import Row
from .....core.text import one_line
from ....editor import edit as open_in_editor
from ...dialogs import Ask
from .template_picker import TemplatePicker

if TYPE_CHECKING:
    from ..step import StepScreen

STARTER = """\
{#- A chat template: messages have a role and a content. What stands between the generation marks
    is trained; end each answer with a token that the model knows as an end of turn. -#}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' }}
{%- generation %}{{ message.content }}<|im_end|>{% endgeneration %}
{{- '\\n' }}
{%- else %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
"""
"""What a template file begins with: ChatML."""


def choose_template(screen: "StepScreen", asked: Row) -> None:
    """Offers the templates for the source of a row, and writes the choice into the draft."""

    def take(name: str | None) -> None:
        if name == "file" and asked.config.data.sources[asked.source].template_file is None:
            _ask_for_file(screen, asked.source)
        elif name is not None:
            change: dict[str, str | None] = {"template": name}
            if name != "file":  # the two belong together
                change["template_file"] = None
            _write(screen, asked.source, change)

    screen.sft.push_screen(TemplatePicker(screen.sft, asked), take)


def _write(screen: "StepScreen", source: int, change: dict[str, str | None]) -> None:
    place = f"data.sources.{source}"
    problems = screen.drafts.change({f"{place}.{key}": value for key, value in change.items()})
    if problems:
        screen.notice = one_line("; ".join(problem.message for problem in problems))
    else:
        screen.did(f"The template of this source is {change['template']} now.")


def _ask_for_file(screen: "StepScreen", source: int) -> None:
    def take(text: str | None) -> None:
        if text is None:
            return
        path = _path(text)
        try:
            if not path.exists():
                path.write_text(STARTER, encoding="utf-8")
        except OSError as error:
            screen.notice = one_line(f"{path} cannot be written: {error.strerror}.")
            return
        _write(screen, source, {"template": "file", "template_file": str(path)})
        edit_template(screen, str(path))

    question = "Path of your Jinja chat template; a new file begins as ChatML"
    screen.sft.push_screen(Ask(question, _check), take)


def _path(text: str) -> Path:
    return Path(text.strip()).expanduser()


def _check(text: str) -> str | None:
    """Returns what is wrong with a path, so that the box stays open until it is right."""
    try:
        path = _path(text)
        if not text.strip() or path.is_dir():
            return "Give the path of a file."
        if not path.absolute().parent.is_dir():
            return one_line(f"There is no folder {path.absolute().parent}.")
    except (OSError, ValueError, RuntimeError) as error:
        return one_line(f"That is no path: {error}")
    return None


def edit_template(screen: "StepScreen", path: str) -> None:
    """Opens the file in the editor; the draft is looked at anew when that ends."""
    try:
        open_in_editor(screen.sft, Path(path))
    except SftError as error:
        screen.notice = one_line(f"{error}. {error.remedy}")
