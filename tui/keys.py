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
    """The id of the panel that it acts on; help shows it first, and the footer, while that panel
    has the focus."""

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
    Key(
        "step", "edit_yaml", ("e",), "e", "YAML", "Edit the draft as YAML in $VISUAL or $EDITOR",
    ),
    Key("step", "undo", ("u",), "u", "Undo", "Take the last change of the draft back"),
    # New › Model
    Key(
        "models", "use", ("enter",), "Enter", "Use",
        "Take the model, bring it here if it must be, and go on to Data",
    ),
    Key("models", "search", ("slash",), "/", "Search", "Words, a full owner/name, or a path"),
    Key("models", "source", ("t",), "t", "Source", "Next of Hub, Cache, Local"),
    Key("models", "filters", ("f",), "f", "Filters", "Order, licence, size, gated"),
    Key("models", "token", ("T",), "T", "Token", "Give a token of the Hub, hidden"),
    Key("models", "download", ("D",), "D", "Download", "Bring the model to this machine now"),
    Key("models", "stop_download", ("D",), "D", "Stop download", "Stop it; what came stays"),
    Key("models", "retry", ("r",), "r", "", "Look again: this machine and the Hub", footer=False),
    Key("models", "order", ("o",), "o", "", "Next order of the Hub's list", footer=False),
    Key("models", "down", ("j",), "j", "", "Next model (also ↓)", footer=False),
    Key("models", "up", ("k",), "k", "", "Previous model (also ↑)", footer=False),
    Key("models", "first", ("g", "home"), "g", "", "First model (also Home)", footer=False),
    Key("models", "last", ("G", "end"), "G", "", "Last model (also End)", footer=False),
    Key(
        "models", "page_up", ("pageup", "ctrl+u"), "PgUp", "", "A page up", footer=False,
    ),
    Key(
        "models", "page_down", ("pagedown", "ctrl+d"), "PgDn", "",
        "A page down; at the end, more of the Hub's list", footer=False,
    ),
    Key(
        "models", "end_search", ("down",), "↓", "", "From the search box to the list",
        footer=False,
    ),
    # New › Data
    Key("data", "use", ("enter",), "Enter", "Use", "Train on this source, and go on to Preview"),
    Key("data", "columns", ("c",), "c", "Columns", "Which columns are question and answer"),
    Key("data", "splits", ("s",), "s", "Splits", "Which rows are trained, which evaluate"),
    Key("data", "origin", ("t",), "t", "File·Hub", "Files of this machine, or the Hub"),
    Key("data", "search", ("slash",), "/", "Type", "Type a path or an id; words on the Hub"),
    Key("data", "problems", ("w",), "w", "Problems", "Rows with a problem"),
    Key("data", "next_row", ("right_square_bracket", "J"), "]", "Row", "The next row"),
    Key(
        "data", "cancel", ("escape",), "Esc", "Cancel", "End the download; what came stays",
    ),
    Key(
        "data", "previous_row", ("left_square_bracket", "K"), "[", "", "The row before",
        footer=False,
    ),
    Key("data", "add", ("a",), "a", "", "Add the source to the mix, or take it out", footer=False),
    Key(
        "data", "weight", ("W",), "W", "", "How often the rows of this source come in the mix",
        footer=False,
    ),
    Key("data", "panel", ("tab", "shift+tab"), "Tab", "", "The other panel", footer=False),
    Key("data", "refresh", ("r",), "r", "", "List and read anew; ask the Hub again", footer=False),
    Key("data", "down", ("j",), "j", "", "Down (also ↓)", footer=False),
    Key("data", "up", ("k",), "k", "", "Up (also ↑)", footer=False),
    Key("data", "first", ("g", "home"), "g", "", "First (also Home)", footer=False),
    Key("data", "last", ("G", "end"), "G", "", "Last (also End)", footer=False),
    # New › Preview
    Key("preview", "jump", ("enter",), "Enter", "Go to", "The first row that has the problem"),
    Key(
        "preview", "next_row", ("right_square_bracket", "J"), "]", "Row",
        "The next row of the order, or of the problem",
    ),
    Key("preview", "view", ("v",), "v", "View", "Text, tokens, ids, the row of the file"),
    Key("preview", "template", ("t",), "t", "Template", "The prompt format, tried with this row"),
    Key("preview", "problems", ("w",), "w", "Problems", "To the problems and back to the row"),
    Key("preview", "order", ("o",), "o", "Order", "File, longest, least trained, problems"),
    Key("preview", "mask", ("m",), "m", "Mask", "Colour and brackets, brackets, ASCII carets"),
    Key("preview", "batch", ("b",), "b", "Batch", "The micro-batch of this row, with padding"),
    Key("preview", "edit_template", ("E",), "E", "Edit file", "The template file in your editor"),
    Key("preview", "go_on", ("r",), "r", "All rows", "Look at all rows after all"),
    Key("preview", "end_pass", ("escape",), "Esc", "End", "Look at no more rows"),
    Key("preview", "back", ("escape",), "Esc", "", "To the row; ends the problem", footer=False),
    Key(
        "preview", "previous_row", ("left_square_bracket", "K"), "[", "", "The row before",
        footer=False,
    ),
    Key("preview", "go_to", ("number_sign",), "#", "", "A row by its number", footer=False),
    Key("preview", "random", ("asterisk",), "*", "", "Any row", footer=False),
    Key("preview", "source", ("s",), "s", "", "The next source", footer=False),
    Key("preview", "again", ("r",), "r", "", "Look at the files anew", footer=False),
    Key("preview", "right", ("l", "right"), "l", "", "The next token (also →)", footer=False),
    Key("preview", "left", ("h", "left"), "h", "", "The token before (also ←)", footer=False),
    Key("preview", "down", ("j", "down"), "j", "", "A line down (also ↓)", footer=False),
    Key("preview", "up", ("k", "up"), "k", "", "A line up (also ↑)", footer=False),
    Key("preview", "first", ("g", "home"), "g", "", "The first (also Home)", footer=False),
    Key("preview", "last", ("G", "end"), "G", "", "The last (also End)", footer=False),
    Key(
        "preview", "page_down", ("pagedown", "ctrl+d"), "PgDn", "", "A page down", footer=False,
    ),
    Key("preview", "page_up", ("pageup", "ctrl+u"), "PgUp", "", "A page up", footer=False),
    # New › Configure
    Key("configure", "edit", ("enter",), "Enter", "Edit", "Edit the value; on ✗, go to the other"),
    Key(
        "configure", "more", ("right", "l"), "←→", "Adjust",
        "A larger value, or the next (← smaller)",
    ),
    Key(
        "configure", "less", ("left", "h"), "←", "", "A smaller value, or the one before",
        footer=False,
    ),
    Key("configure", "switch", ("space",), "space", "", "Switch between yes and no", footer=False),
    Key("configure", "default", ("d",), "d", "Default", "Back to the default"),
    Key("configure", "advanced", ("A",), "A", "Advanced", "Show or hide what is seldom changed"),
    Key("configure", "preset", ("p",), "p", "Preset", "Start from a preset; shows what it changes"),
    Key("configure", "find", ("slash",), "/", "Find", "Go to a field by name, path or help"),
    Key(
        "configure", "next_found", ("n",), "n", "", "The next field that was looked for",
        footer=False,
    ),
    Key("configure", "previous_found", ("N",), "N", "", "The one before", footer=False),
    Key(
        "configure", "section_default", ("D",), "D", "", "The whole section back to its defaults",
        footer=False,
    ),
    Key("configure", "down", ("down", "j"), "j", "", "Next field (also ↓)", footer=False),
    Key("configure", "up", ("up", "k"), "k", "", "Field before (also ↑)", footer=False),
    Key(
        "configure", "page_down", ("pagedown", "ctrl+d"), "PgDn", "", "Down by a page",
        footer=False,
    ),
    Key("configure", "page_up", ("pageup", "ctrl+u"), "PgUp", "", "Up by a page", footer=False),
    Key("configure", "first", ("g", "home"), "g", "", "First field (also Home)", footer=False),
    Key("configure", "last", ("G", "end"), "G", "", "Last field (also End)", footer=False),
    # New › Review
    Key("review", "launch", ("enter",), "Enter", "Launch", "Start the run"),
    Key("review", "withdraw", ("escape",), "Esc", "Not yet", "Withdraw the launch that waits"),
    Key("review", "accept", ("a",), "a", "Let pass", "Let a problem pass, by its name"),
    Key("review", "measure", ("M",), "M", "Measure", "Take two real steps and see their memory"),
    Key("review", "save", ("s",), "s", "Save", "Write the configuration to a file"),
    Key("monitor", "control", ("x",), "x", "Control", "Stop, change or kill the run"),
    Key("monitor", "resume", ("R",), "R", "Resume", "Go on from the newest checkpoint"),
    Key("monitor", "duplicate", ("d",), "d", "Duplicate", "Start a new run like this"),
    Key("monitor", "health", ("w",), "w", "Health", "What is wrong with the run, and what to do"),
    Key("monitor", "swap", ("enter",), "Enter", "Swap", "Draw this small chart large"),
    Key("monitor", "metric", ("m",), "m", "Metric", "Next metric in the chart", panel="chart"),
    Key(
        "monitor", "log", ("o",), "o", "Log-y", "A logarithmic scale, and back", panel="chart",
    ),
    Key("monitor", "axis", ("a",), "a", "Axis", "By step, tokens or time", panel="chart"),
    Key(
        "monitor", "smooth", ("s",), "s", "Smooth", "Strength of the average: off, 0.6, 0.9, 0.97",
        panel="chart",
    ),
    Key(
        "monitor", "zoom_in", ("plus", "equals_sign"), "+", "Zoom",
        "Half as much, about the crosshair or the right edge (- twice as much)", panel="chart",
    ),
    Key("monitor", "follow", ("f",), "f", "Follow", "Stay with the newest point", panel="chart"),
    Key(
        "monitor", "overlay", ("M",), "M", "", "The others of its unit over the metric",
        footer=False, panel="chart",
    ),
    Key(
        "monitor", "zoom_out", ("minus",), "-", "", "Twice as much", footer=False, panel="chart",
    ),
    Key(
        "monitor", "pan_left", ("less_than_sign", "shift+left"), "<", "", "A quarter to the left",
        footer=False, panel="chart",
    ),
    Key(
        "monitor", "pan_right", ("greater_than_sign", "shift+right"), ">", "",
        "A quarter to the right", footer=False, panel="chart",
    ),
    Key("monitor", "fit", ("0",), "0", "", "Everything", footer=False, panel="chart"),
    Key(
        "monitor", "clip", ("p",), "p", "", "Leave outliers out of the scale", footer=False,
        panel="chart",
    ),
    Key(
        "monitor", "right", ("l", "right"), "l", "", "Crosshair, a step on (also →)",
        footer=False, panel="chart",
    ),
    Key(
        "monitor", "left", ("h", "left"), "h", "", "Crosshair, a step back (also ←)",
        footer=False, panel="chart",
    ),
    Key(
        "monitor", "far_right", ("L",), "L", "", "Crosshair, ten steps on", footer=False,
        panel="chart",
    ),
    Key(
        "monitor", "far_left", ("H",), "H", "", "Crosshair, ten steps back", footer=False,
        panel="chart",
    ),
    Key(
        "monitor", "next_mark", ("full_stop",), ".", "", "The next mark under the axis",
        footer=False, panel="chart",
    ),
    Key(
        "monitor", "previous_mark", ("comma",), ",", "", "The mark before", footer=False,
        panel="chart",
    ),
    Key(
        "monitor", "end_cross", ("escape",), "Esc", "", "Take the crosshair away", footer=False,
        panel="chart",
    ),
    Key(
        "monitor", "tab", ("b",), "b", "Tab", "Next of events, log, samples, configuration",
        panel="bottom",
    ),
    Key(
        "monitor", "search", ("slash",), "/", "", "Look for words in the tab", footer=False,
        panel="bottom",
    ),
    Key(
        "monitor", "next_found", ("n",), "n", "", "The next line that has them", footer=False,
        panel="bottom",
    ),
    Key(
        "monitor", "previous_found", ("N",), "N", "", "The line before that has them", footer=False,
        panel="bottom",
    ),
    Key(
        "monitor", "next_sample", ("full_stop",), ".", "Later", "Answers of the next step",
        panel="bottom",
    ),
    Key(
        "monitor", "previous_sample", ("comma",), ",", "", "Answers of the step before",
        footer=False, panel="bottom",
    ),
    Key(
        "monitor", "next_prompt", ("right_square_bracket", "J"), "]", "Prompt", "The next prompt",
        panel="bottom",
    ),
    Key(
        "monitor", "previous_prompt", ("left_square_bracket", "K"), "[", "", "The prompt before",
        footer=False, panel="bottom",
    ),
    Key(
        "monitor", "page_up", ("pageup", "ctrl+u"), "PgUp", "", "Earlier lines of the tab",
        footer=False, panel="bottom",
    ),
    Key(
        "monitor", "page_down", ("pagedown", "ctrl+d"), "PgDn", "", "Later lines, then follow",
        footer=False, panel="bottom",
    ),
    Key(
        "monitor", "acknowledge", ("space",), "space", "Acknowledge",
        "Take note of the newest finding, in this window", panel="health",
    ),
    Key("monitor", "next_run", ("right_square_bracket", "J"), "]", "Run", "The next run"),
    Key(
        "monitor", "previous_run", ("left_square_bracket", "K"), "[", "", "The run before",
        footer=False,
    ),
    # Everywhere
    Key("app", "mode_runs", ("1",), "1", "Runs", "All runs", footer=False),
    Key("app", "mode_new", ("2",), "2", "New", "Start a run", footer=False),
    Key("app", "mode_monitor", ("3",), "3", "Monitor", "Watch a run", footer=False),
    Key("app", "help", ("question_mark", "f1"), "?", "Help", "The keys of this screen"),
    Key("app", "palette", ("colon", "f2"), ":", "Cmd", "Any action, run, field or setting by name"),
    Key("app", "leave", ("q",), "q", "Back", "One level up; on Runs, leave"),
    Key("app", "one_up", ("escape",), "Esc", "", "One level up; never leaves", footer=False),
    Key("app", "focus_next", ("tab",), "Tab", "", "The next panel", footer=False),
    Key(
        "app", "focus_previous", ("shift+tab",), "Shift+Tab", "", "The panel before", footer=False,
    ),
    Key("app", "maximise", ("z",), "z", "", "This panel alone, and back", footer=False),
    Key("app", "describe", ("i",), "i", "", "What this panel shows, in words", footer=False),
    Key("app", "copy", ("y",), "y", "", "Copy what is shown, also to a file", footer=False),
    Key("app", "redraw", ("ctrl+l",), "Ctrl+L", "", "Draw the screen anew", footer=False),
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
