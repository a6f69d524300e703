"""Every key of the application, declared once: bindings, footer and help all derive from here."""

from textual.binding import Binding

from .key import Key, of_chart
from .keys_new import NEW

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
    "compare": "Compare",
    "play": "Play",
    "export": "Export",
    "system": "System",
}


KEYS = (
    Key("runs", "open", ("enter",), "Enter", "Open", "Watch the run under the cursor"),
    Key("runs", "start_demo", ("enter",), "Enter", "The demo", "Review and train the demo"),
    Key("runs", "unqueue", ("D",), "D", "Take out", "Wait no more for this run", panel="queue"),
    Key(
        "runs", "start_queue", ("s",), "s", "Go on", "Start what waits, as after a restart",
        panel="queue",
    ),
    Key("runs", "mark", ("space",), "space", "Mark", "Mark the run, or not any longer"),
    Key("runs", "compare", ("c",), "c", "Compare", "Compare the marked runs, or add this one"),
    Key("runs", "control", ("x",), "x", "Control", "Stop, change or kill the run"),
    Key("runs", "resume", ("R",), "R", "Resume", "Go on from the newest checkpoint or step 0"),
    Key("runs", "duplicate", ("d",), "d", "Duplicate", "Start a new run with its configuration"),
    Key("runs", "export", ("E",), "E", "Export", "Write the result to a folder or to the Hub"),
    Key(
        "runs", "filter", ("slash",), "/", "Filter",
        "Only runs with these words in name, status, model, data, method or note",
    ),
    Key(
        "runs", "order", ("o",), "o", "Order", "By start, evaluation, loss, speed or name",
    ),
    Key("runs", "note", ("m",), "m", "Note", "Write a line about the run, kept in its folder"),
    Key("runs", "delete", ("D",), "D", "Delete", "Delete the run's folder; tells what is lost"),
    Key(
        "runs", "other_folder", ("O",), "O", "", "The runs of another folder, also a shared one",
        footer=False,
    ),
    Key("runs", "clear", ("escape",), "Esc", "", "Clear the filter, then the marks", footer=False),
    Key("runs", "refresh", ("r",), "r", "", "Read the folder of runs now", footer=False),
    Key(
        "runs", "open_file", ("e",), "e", "", "Take a YAML file as the draft of a run",
        footer=False,
    ),
    Key("runs", "down", ("j",), "j", "Down", "Next run (also ↓)", footer=False),
    Key("runs", "up", ("k",), "k", "Up", "Previous run (also ↑)", footer=False),
    Key("runs", "first", ("g", "home"), "g", "First", "First run (also Home)", footer=False),
    Key("runs", "last", ("G", "end"), "G", "Last", "Last run (also End)", footer=False),
    *NEW,
    Key("monitor", "control", ("x",), "x", "Control", "Stop, change or kill the run"),
    Key("monitor", "again", ("r",), "r", "Retry", "Look once more for a folder that is gone"),
    Key("monitor", "resume", ("R",), "R", "Resume", "Go on from the newest checkpoint or step 0"),
    Key("monitor", "duplicate", ("d",), "d", "Duplicate", "Start a new run like this"),
    Key("monitor", "export", ("E",), "E", "Export", "Write what the run gave, once it ended"),
    Key("monitor", "health", ("w",), "w", "Health", "What is wrong with the run, and what to do"),
    Key(
        "monitor", "gpu_view", ("t",), "t", "GPUs", "The last two minutes of the GPUs, and back",
        panel="hardware",
    ),
    Key("monitor", "swap", ("enter",), "Enter", "Swap", "Draw this small chart large"),
    Key("monitor", "metric", ("m",), "m", "Metric", "Next metric in the chart", panel="chart"),
    *of_chart("monitor"),
    Key(
        "monitor", "overlay", ("M",), "M", "", "The others of its unit over the metric",
        footer=False, panel="chart",
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
    # Compare
    Key("compare", "open", ("enter",), "Enter", "Open", "Watch this run", panel="compared"),
    Key("compare", "metric", ("m",), "m", "Metric", "Next metric that a run has", panel="chart"),
    *of_chart("compare"),
    Key(
        "compare", "baseline", ("B",), "B", "Baseline", "Hold the others against this run",
        panel="compared",
    ),
    Key("compare", "view", ("v",), "v", "View", "Chart, differences, samples"),
    Key(
        "compare", "hide", ("space",), "space", "Hide", "Draw the line of this run or not",
        panel="compared",
    ),
    Key("compare", "export", ("E",), "E", "CSV", "Write all points of all curves into a file"),
    Key(
        "compare", "add", ("O",), "O", "Add",
        "Add a run by its folder: also of transformers, TensorBoard or W&B",
    ),
    Key("compare", "remove", ("D",), "D", "", "Compare this run no more", footer=False),
    Key("compare", "again", ("r",), "r", "", "Read all runs anew", footer=False),
    Key("compare", "down", ("j", "down"), "j", "", "A line down (also ↓)", footer=False),
    Key("compare", "up", ("k", "up"), "k", "", "A line up (also ↑)", footer=False),
    Key("compare", "first", ("g", "home"), "g", "", "The first (also Home)", footer=False),
    Key("compare", "last", ("G", "end"), "G", "", "The last (also End)", footer=False),
    Key(
        "compare", "page_down", ("pagedown", "ctrl+d"), "PgDn", "", "A page down", footer=False,
    ),
    Key("compare", "page_up", ("pageup", "ctrl+u"), "PgUp", "", "A page up", footer=False),
    # Play
    Key("play", "talk", ("enter",), "Enter", "Live", "Load the model; once it is there, ask it"),
    Key("play", "stop", ("escape",), "Esc", "Stop", "End the answer that is being given"),
    Key("play", "next_sample", ("full_stop",), ".", "Later", "Answers of the next step"),
    Key(
        "play", "previous_sample", ("comma",), ",", "", "Answers of the step before", footer=False,
    ),
    Key("play", "next_prompt", ("right_square_bracket", "J"), "]", "Prompt", "The next prompt"),
    Key(
        "play", "previous_prompt", ("left_square_bracket", "K"), "[", "", "The prompt before",
        footer=False,
    ),
    Key("play", "checkpoint", ("c",), "c", "Checkpoint", "Choose whose weights answer"),
    Key("play", "settings", ("e",), "e", "Settings", "Temperature, length, base, device"),
    Key("play", "clear", ("n",), "n", "New talk", "Forget what was said, and begin anew"),
    Key("play", "pick_run", ("r",), "r", "Run", "Choose another run"),
    Key("play", "export", ("E",), "E", "Export", "Export a checkpoint of the run"),
    Key("play", "control", ("x",), "x", "Control", "Stop, pause or change the run"),
    Key("play", "down", ("j", "down"), "j", "", "A line down (also ↓)", footer=False),
    Key("play", "up", ("k", "up"), "k", "", "A line up (also ↑)", footer=False),
    Key("play", "first", ("g", "home"), "g", "", "The first (also Home)", footer=False),
    Key("play", "last", ("G", "end"), "G", "", "The last (also End)", footer=False),
    Key("play", "page_down", ("pagedown", "ctrl+d"), "PgDn", "", "A page down", footer=False),
    Key("play", "page_up", ("pageup", "ctrl+u"), "PgUp", "", "A page up", footer=False),
    # Export
    Key("export", "export", ("enter",), "Enter", "Export", "Write what is chosen"),
    Key("export", "cancel", ("escape",), "Esc", "Cancel", "End it; nothing of it is left behind"),
    Key(
        "export", "change", ("space",), "space", "Change", "The next value of this row, or ask",
        panel="choices",
    ),
    Key("export", "verify", ("v",), "v", "Verify", "Load what was written, and compare its logits"),
    Key("export", "token", ("T",), "T", "Token", "Sign in to the Hub, for a push"),
    Key("export", "again", ("r",), "r", "", "Look at the run anew", footer=False),
    Key("export", "down", ("j", "down"), "j", "", "A row down (also ↓)", footer=False),
    Key("export", "up", ("k", "up"), "k", "", "A row up (also ↑)", footer=False),
    Key("export", "first", ("g", "home"), "g", "", "The first (also Home)", footer=False),
    Key("export", "last", ("G", "end"), "G", "", "The last (also End)", footer=False),
    Key("export", "page_down", ("pagedown", "ctrl+d"), "PgDn", "", "A page down", footer=False),
    Key("export", "page_up", ("pageup", "ctrl+u"), "PgUp", "", "A page up", footer=False),
    # System
    Key(
        "system", "details", ("enter",), "Enter", "Details", "The whole of what was found",
        panel="doctor",
    ),
    Key(
        "system", "edit", ("enter",), "Enter", "Change", "The next value, or type one",
        panel="settings",
    ),
    Key(
        "system", "next_value", ("right", "l", "space"), "→", "", "The next value",
        footer=False, panel="settings",
    ),
    Key(
        "system", "previous_value", ("left", "h"), "←", "", "The value before",
        footer=False, panel="settings",
    ),
    Key(
        "system", "default", ("d",), "d", "Default", "The value that it has by itself",
        panel="settings",
    ),
    Key("system", "again", ("r",), "r", "Run again", "Look at everything anew", panel="doctor"),
    Key("system", "token", ("T",), "T", "Token", "Sign in to the Hub", panel="doctor"),
    Key("system", "key_test", ("t",), "t", "Key test", "See what this terminal sends for a key"),
    Key("system", "down", ("j", "down"), "j", "", "A row down (also ↓)", footer=False),
    Key("system", "up", ("k", "up"), "k", "", "A row up (also ↑)", footer=False),
    Key("system", "first", ("g", "home"), "g", "", "The first (also Home)", footer=False),
    Key("system", "last", ("G", "end"), "G", "", "The last (also End)", footer=False),
    Key("system", "page_down", ("pagedown", "ctrl+d"), "PgDn", "", "A page down", footer=False),
    Key("system", "page_up", ("pageup", "ctrl+u"), "PgUp", "", "A page up", footer=False),
    # Everywhere
    Key("app", "mode_runs", ("1",), "1", "Runs", "All runs", footer=False),
    Key("app", "mode_new", ("2",), "2", "New", "Start a run", footer=False),
    Key("app", "mode_monitor", ("3",), "3", "Monitor", "Watch a run", footer=False),
    Key("app", "mode_compare", ("4",), "4", "Compare", "Runs side by side", footer=False),
    Key("app", "mode_play", ("5",), "5", "Play", "Ask the model of a run", footer=False),
    Key(
        "app", "mode_system", ("6",), "6", "System", "What this machine has, and settings",
        footer=False,
    ),
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


def modes() -> list[tuple[str, str, str]]:
    """Returns the key, the name and the title of every mode."""
    prefix = "mode_"
    return [
        (key.shown, key.name.removeprefix(prefix), key.label)
        for key in KEYS
        if key.scope == "app" and key.name.startswith(prefix)
    ]


def of_scope(scope: str) -> list[Key]:
    """Returns the keys of a scope in their order."""
    return [key for key in KEYS if key.scope == scope]
