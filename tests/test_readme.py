"""What the README shows works as it stands there."""

import re
import shlex
from pathlib import Path

import pytest

from sft_tui.core import config_file
from sft_tui.tui.cli import build_parser

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def commands() -> list[str]:
    """Returns every `sft-tui …` of the README's table, alternatives and options included."""
    rows = [line for line in README.splitlines() if line.startswith("| `sft-tui")]
    found = []
    for row in rows:
        parts = re.findall(r"`([^`]+)`", row.split("|")[1])
        first = parts[0].split()
        found.append(parts[0])
        found += [f"{first[0]} {part}" for part in parts[1:]]
    return found


def plain(command: str) -> list[str]:
    """Returns the arguments of a shown command with its options and stand-ins filled in."""
    text = re.sub(r"[\[\]]", " ", command.removeprefix("sft-tui"))
    text = text.replace("CONFIG.yaml", "run.yaml").replace("KEY=VALUE", "method.rank=8")
    return shlex.split(text.replace(" N", " 3").replace("NAME", "demo").replace("DIR", "x"))


@pytest.mark.parametrize("command", commands())
def test_every_command_of_the_readme_is_understood_with_all_its_options(command):
    assert build_parser().parse_args(plain(command)).handler


def test_the_readme_names_every_command_of_the_parser():
    shown = {plain(command)[0] for command in commands() if plain(command)}
    choices = next(
        action.choices for action in build_parser()._actions if isinstance(action.choices, dict)
    )
    assert set(choices) <= shown


def test_the_configuration_of_the_readme_is_valid():
    block = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert block is not None
    config = config_file.parse(block[1])
    assert config.method.target_modules == ["*_proj"]


def test_the_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?m)(?:^|`)make ([a-z-]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_file_tree_of_the_readme_names_every_module():
    for path in [*ROOT.glob("core/*.py"), *ROOT.glob("core/*/*.py"), *ROOT.glob("tui/*.py")]:
        if path.name != "__init__.py":
            assert path.name in README, path
