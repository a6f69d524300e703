"""The keys of New, step by step."""

from .key import Key

NEW = (
    # Every step
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
    # Model
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
    # Data
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
    # Preview
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
    # Configure
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
    # Review
    Key("review", "launch", ("enter",), "Enter", "Launch", "Start the run"),
    Key(
        "review", "queue", ("Q",), "Q", "Queue", "Start the run when those before it have ended",
    ),
    Key("review", "withdraw", ("escape",), "Esc", "Not yet", "Withdraw the launch that waits"),
    Key("review", "accept", ("a",), "a", "Let pass", "Let a problem pass, by its name"),
    Key("review", "measure", ("M",), "M", "Measure", "Take two real steps and see their memory"),
    Key("review", "save", ("s",), "s", "Save", "Write the configuration to a file"),
)  # fmt: skip
