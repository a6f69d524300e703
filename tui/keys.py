"""Every key of the application, declared once: bindings, footer and help all derive from here."""

from dataclasses import dataclass

from textual.binding import Binding

FORBIDDEN = frozenset(f"ctrl+{letter}" for letter in "abpqszwtnhijm[/?") | {
    "ctrl+enter",
    "shift+enter",
    "f10",
    "f11",
}
"""Keys that tmux, screen, Docker, browsers or terminals take: never the only way to an action."""

SCOPES = {
    "app": "Everywhere",
    "runs": "Runs",
    "step": "New, every step",
    "models": "New › Model",
    "data": "New › Data",
    "preview": "New › Preview",
    "configure": "New › Configure",
    "review": "New › Review",
    "monitor": "Monitor",
}


@dataclass(frozen=True)
class Key:
    """One action: `name` is the action method, `keys` what triggers it, first the one shown."""

    scope: str
    name: str
    keys: tuple[str, ...]
    shown: str
    label: str
    help: str
    footer: bool = True
    panel: str = ""
    """The id of the widget that it acts on, where there are several."""

    @property
    def id(self) -> str:
        """The binding's id, unique in the application."""
        return f"{self.scope}.{self.name}"


KEYS = (
    Key("runs", "open", ("enter",), "Enter", "Open", "Watch the run under the cursor"),
    Key("runs", "start_demo", ("enter",), "Enter", "The demo", "Review and train the demo"),
    Key("runs", "control", ("x",), "x", "Control", "Stop, change or kill the run"),
    Key("runs", "resume", ("R",), "R", "Resume", "Go on from the newest checkpoint"),
    Key("runs", "duplicate", ("d",), "d", "Duplicate", "Start a new run with its configuration"),
    Key(
        "runs", "open_file", ("e",), "e", "", "Take a YAML file as the draft of a run",
        footer=False,
    ),
    Key("runs", "down", ("j",), "j", "Down", "Next run (also ↓)", footer=False),
    Key("runs", "up", ("k",), "k", "Up", "Previous run (also ↑)", footer=False),
    Key("runs", "first", ("g", "home"), "g", "First", "First run (also Home)", footer=False),
    Key("runs", "last", ("G", "end"), "G", "Last", "Last run (also End)", footer=False),
    # New, every step
    Key(
        "step", "next_step", ("greater_than_sign", "shift+right"), ">", "Next step",
        "The next step, whatever is missing",
    ),
    Key(
        "step", "previous_step", ("less_than_sign", "shift+left"), "<", "", "The step before",
        footer=False,
    ),
    Key(
        "step", "open_file", ("O",), "O", "", "Take a YAML file as the draft", footer=False,
    ),
    # New › Model
    # New › Data
    Key("data", "use", ("enter",), "Enter", "Use", "Train on this source, and go on to Preview"),
    Key("data", "columns", ("c",), "c", "Columns", "Which columns are question and answer"),
    Key("data", "splits", ("s",), "s", "Splits", "Which rows are trained, which evaluate"),
    Key("data", "origin", ("t",), "t", "File·Hub", "Files of this machine, or the Hub"),
    Key("data", "search", ("slash",), "/", "Type", "Type a path or an id; words on the Hub"),
    Key("data", "problems", ("w",), "w", "Problems", "Rows that cannot be used"),
    Key("data", "next_row", ("right_square_bracket", "J"), "]", "Row", "The next row"),
    Key(
        "data", "cancel", ("escape",), "Esc", "Cancel", "End the download; what came stays",
    ),
    Key(
        "data", "previous_row", ("left_square_bracket", "K"), "[", "", "The row before",
        footer=False,
    ),
    Key("data", "add", ("a",), "a", "", "Add the source to the mix, or take it out", footer=False),
    Key("data", "panel", ("tab", "shift+tab"), "Tab", "", "The other panel", footer=False),
    Key("data", "refresh", ("r",), "r", "", "List and read anew; ask the Hub again", footer=False),
    Key("data", "down", ("j",), "j", "", "Down (also ↓)", footer=False),
    Key("data", "up", ("k",), "k", "", "Up (also ↑)", footer=False),
    Key("data", "first", ("g", "home"), "g", "", "First (also Home)", footer=False),
    Key("data", "last", ("G", "end"), "G", "", "Last (also End)", footer=False),
    # New › Preview
    # New › Configure
    # New › Review
    Key("review", "launch", ("enter",), "Enter", "Launch", "Start the run"),
    Key("monitor", "control", ("x",), "x", "Control", "Stop, change or kill the run"),
    Key("monitor", "resume", ("R",), "R", "Resume", "Go on from the newest checkpoint"),
    Key("monitor", "duplicate", ("d",), "d", "Duplicate", "Start a new run like this"),
    Key("monitor", "metric", ("m",), "m", "Metric", "Next metric in the chart"),
    Key("monitor", "smooth", ("s",), "s", "Smooth", "Strength of the average: off, 0.6, 0.9, 0.97"),
    Key("monitor", "tab", ("b",), "b", "Tab", "Next of events, log, configuration"),
    Key(
        "monitor", "page_up", ("pageup", "ctrl+u"), "PgUp", "", "Earlier lines of the tab",
        footer=False,
    ),
    Key(
        "monitor", "page_down", ("pagedown", "ctrl+d"), "PgDn", "", "Later lines, then follow",
        footer=False,
    ),
    Key("monitor", "next_run", ("right_square_bracket", "J"), "]", "Run", "The next run"),
    Key(
        "monitor", "previous_run", ("left_square_bracket", "K"), "[", "", "The run before",
        footer=False,
    ),
    Key("app", "mode_runs", ("1",), "1", "Runs", "All runs", footer=False),
    Key("app", "mode_new", ("2",), "2", "New", "Start a run", footer=False),
    Key("app", "mode_monitor", ("3",), "3", "Monitor", "Watch a run", footer=False),
    Key("app", "help", ("question_mark", "f1"), "?", "Help", "The keys of this screen"),
    Key("app", "leave", ("q",), "q", "Back", "One level up; on Runs, leave"),
    Key("app", "one_up", ("escape",), "Esc", "", "One level up; never leaves", footer=False),
    Key(
        "app", "copy_or_tell", ("ctrl+c",), "Ctrl+C", "", "Copies a selection; never ends a run",
        footer=False,
    ),
)  # fmt: skip


def bindings(scope: str) -> list[Binding | tuple[str, str] | tuple[str, str, str]]:
    """Returns the bindings of a screen, or of the application."""
    return [
        Binding(",".join(key.keys), key.name, key.label, show=key.footer, id=key.id)
        for key in KEYS
        if key.scope == scope
    ]


def of_scope(scope: str) -> list[Key]:
    """Returns the keys of a scope in their order."""
    return [key for key in KEYS if key.scope == scope]
