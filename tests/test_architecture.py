"""What may import what, and how the code is laid out."""

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "transformers", "datasets", "peft", "accelerate", "numpy")
LIGHT_FILES = sorted(
    path
    for path in (ROOT / "core").rglob("*.py")
    if "training" not in path.parts and path.stem != "__init__"
)
LIGHT = [
    ".".join(["sft_tui", *path.relative_to(ROOT).with_suffix("").parts]) for path in LIGHT_FILES
]
SOURCES = sorted([*(ROOT / "core").rglob("*.py"), *(ROOT / "tui").rglob("*.py")])
LONGEST_FILE = 400


@pytest.fixture(autouse=True)
def sft_home(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))


def imported_by(*modules: str) -> set[str]:
    """Returns the names in `sys.modules` after importing some modules in a new process."""
    code = f"import json, sys, {', '.join(modules)}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def known_by(paths: Iterable[Path], package: str) -> dict[Path, list[str]]:
    """Returns what each of some source files imports of a package, if anything."""
    found = {
        path: [name for name in names_imported(path) if name.startswith(package)] for path in paths
    }
    return {path: names for path, names in found.items() if names}


def names_imported(path: Path) -> set[str]:
    """Returns the full names of the modules that a source file imports, wherever it does so."""
    package = ["sft_tui", *path.relative_to(ROOT).with_suffix("").parts[:-1]]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            found |= {stem, *(f"{stem}.{alias.name}" for alias in node.names)}
    return found


def test_a_light_module_imports_nothing_heavy():
    """One after the other in one process: of what an earlier one imported nothing is heavy."""
    modules = [*LIGHT, "sft_tui.tui.cli"]
    code = (
        "import importlib, json, sys\nheavy, found = set(json.loads(sys.argv[2])), {}\n"
        "for name in json.loads(sys.argv[1]):\n"
        "    importlib.import_module(name)\n"
        "    if new := heavy & set(sys.modules):\n"
        "        found[name] = sorted(new)\n"
        "        heavy -= new\n"
        "print(json.dumps(found))"
    )
    argv = [sys.executable, "-P", "-c", code, json.dumps(modules), json.dumps([*HEAVY, "asyncio"])]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert ["asyncio"] in found.values(), "the scan sees what a module imports"
    assert {name: new for name, new in found.items() if new != ["asyncio"]} == {}


def test_the_commands_import_nothing_heavy():
    commands = [
        f"sft_tui.tui.commands.{path.stem}"
        for path in (ROOT / "tui" / "commands").glob("*.py")
        if path.stem != "__init__"
    ]

    assert not imported_by(*commands) & set(HEAVY)


def test_the_command_line_starts_without_what_only_some_commands_need():
    assert not imported_by("sft_tui.tui.cli") & {"rich", "textual", "yaml", "psutil", "pynvml"}


def test_the_first_screen_is_painted_without_what_comes_later():
    known = imported_by(
        "sft_tui.tui.commands.application", "sft_tui.tui.app", "sft_tui.tui.screens.runs"
    )

    assert "textual" in known
    later = {"core.config_file", "core.launch", "tui.screens.monitor", "tui.screens.dialogs"}
    assert not known & {*HEAVY, "yaml", "psutil", *(f"sft_tui.{name}" for name in later)}


def test_the_core_does_not_know_the_screens():
    assert known_by((ROOT / "core").rglob("*.py"), "sft_tui.tui") == {}


def test_only_the_trainer_imports_the_training_package():
    assert known_by([*LIGHT_FILES, *(ROOT / "tui").rglob("*.py")], "sft_tui.core.training") == {}


def test_the_scan_of_imports_sees_relative_ones():
    names = names_imported(ROOT / "tui" / "commands" / "train.py")

    assert {"sft_tui.core.launch", "sft_tui.tui.plain"} <= names


def test_every_folder_that_holds_python_files_is_packaged():
    facts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {path.parent.relative_to(ROOT) for path in SOURCES}

    assert sorted(facts["packages"]) == sorted(
        ".".join(["sft_tui", *folder.parts]) for folder in folders
    )
    assert facts["package-dir"] == {"sft_tui.core": "core", "sft_tui.tui": "tui"}


def test_a_source_file_is_short_enough_to_be_read_in_one_go():
    lines = {path: len(path.read_text().splitlines()) for path in SOURCES}
    assert [path for path, count in lines.items() if count > LONGEST_FILE] == []
