"""How a key is declared, and the keys that every screen with a chart has."""

from dataclasses import dataclass


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


def of_chart(scope: str) -> tuple[Key, ...]:
    """Returns the keys that every screen with a chart has."""
    return (
        Key(
            scope, "log", ("o",), "o", "Log-y", "A logarithmic scale, and back", panel="chart",
        ),
        Key(scope, "axis", ("a",), "a", "Axis", "By step, tokens or time", panel="chart"),
        Key(
            scope, "smooth", ("s",), "s", "Smooth", "Strength of the average: off, 0.6, 0.9, 0.97",
            panel="chart",
        ),
        Key(
            scope, "zoom_in", ("plus", "equals_sign"), "+", "Zoom",
            "Half as much, about the crosshair or the right edge (- twice as much)", panel="chart",
        ),
        Key(scope, "follow", ("f",), "f", "Follow", "Stay with the newest point", panel="chart"),
        Key(
            scope, "zoom_out", ("minus",), "-", "", "Twice as much", footer=False, panel="chart",
        ),
        Key(
            scope, "pan_left", ("less_than_sign", "shift+left"), "<", "", "A quarter to the left",
            footer=False, panel="chart",
        ),
        Key(
            scope, "pan_right", ("greater_than_sign", "shift+right"), ">", "",
            "A quarter to the right", footer=False, panel="chart",
        ),
        Key(scope, "fit", ("0",), "0", "", "Everything", footer=False, panel="chart"),
        Key(
            scope, "clip", ("p",), "p", "", "Leave outliers out of the scale", footer=False,
            panel="chart",
        ),
        Key(
            scope, "right", ("l", "right"), "l", "", "Crosshair, a step on (also →)",
            footer=False, panel="chart",
        ),
        Key(
            scope, "left", ("h", "left"), "h", "", "Crosshair, a step back (also ←)",
            footer=False, panel="chart",
        ),
        Key(
            scope, "far_right", ("L",), "L", "", "Crosshair, ten steps on", footer=False,
            panel="chart",
        ),
        Key(
            scope, "far_left", ("H",), "H", "", "Crosshair, ten steps back", footer=False,
            panel="chart",
        ),
        Key(
            scope, "end_cross", ("escape",), "Esc", "", "Take the crosshair away", footer=False,
            panel="chart",
        ),
    )  # fmt: skip
