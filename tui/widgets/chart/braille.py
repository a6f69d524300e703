"""A canvas of braille dots: each cell is 2 dots wide and 4 high, and has one layer on top."""

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bit of the dot at [x][y] within a cell, y from the top (Unicode chart U+2800)."""
_CHARACTERS = [" ", *(chr(0x2800 + mask) for mask in range(1, 256))]


class Canvas:
    """Dots are addressed from the top left. The highest layer drawn in a cell colours it."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self.width = columns * 2
        self.height = rows * 4
        self.masks = bytearray(columns * rows)
        self.layers = bytearray(columns * rows)
        self.marks: dict[int, str] = {}
        """Whole characters that stand in a cell instead of its dots."""
        self.pen = "1"
        """Which columns of dots are drawn, over and over: "1100" is a dashed line."""

    def dot(self, x: int, y: int, layer: int) -> None:
        """Sets one dot; a dot outside the canvas, or between the dashes, is left out."""
        if 0 <= x < self.width and 0 <= y < self.height and self.pen[x % len(self.pen)] == "1":
            cell = (y >> 2) * self.columns + (x >> 1)
            self.masks[cell] |= _DOTS[x & 1][y & 3]
            if layer > self.layers[cell]:
                self.layers[cell] = layer

    def vertical(self, x: int, y0: int, y1: int, layer: int) -> None:
        """Draws the dots of one column from y0 to y1, a cell at a time."""
        if self.pen[x % len(self.pen)] != "1":
            return
        top, bottom = max(min(y0, y1), 0), min(max(y0, y1), self.height - 1)
        dots = _DOTS[x & 1]
        for row in range(top >> 2, (bottom >> 2) + 1):
            first = max(top - row * 4, 0)
            last = min(bottom - row * 4, 3)
            cell = row * self.columns + (x >> 1)
            for y in range(first, last + 1):
                self.masks[cell] |= dots[y]
            if layer > self.layers[cell]:
                self.layers[cell] = layer

    def line(self, x0: int, y0: int, x1: int, y1: int, layer: int) -> None:
        """Draws a straight line, both ends included (Bresenham's algorithm)."""
        dx, dy = abs(x1 - x0), -abs(y1 - y0)
        step_x, step_y = (1 if x0 < x1 else -1), (1 if y0 < y1 else -1)
        error = dx + dy
        while True:
            self.dot(x0, y0, layer)
            if x0 == x1 and y0 == y1:
                return
            twice = 2 * error
            if twice >= dy:
                error += dy
                x0 += step_x
            if twice <= dx:
                error += dx
                y0 += step_y

    def segment(self, x0: float, y0: float, x1: float, y1: float, layer: int) -> None:
        """Draws the part of a straight line that lies on the canvas (Liang and Barsky's method)."""
        dx, dy = x1 - x0, y1 - y0
        enters, leaves = 0.0, 1.0
        for towards, room in (
            (-dx, x0), (dx, self.width - 1 - x0), (-dy, y0), (dy, self.height - 1 - y0)
        ):  # fmt: skip
            if towards == 0:
                if room < 0:
                    return
            elif towards < 0:
                enters = max(enters, room / towards)
            else:
                leaves = min(leaves, room / towards)
        if enters <= leaves:
            first = round(x0 + enters * dx), round(y0 + enters * dy)
            self.line(*first, round(x0 + leaves * dx), round(y0 + leaves * dy), layer)

    def behind(self, column: int, character: str, layer: int) -> None:
        """Puts a character into every cell of a column that holds nothing yet."""
        for row in range(self.rows if 0 <= column < self.columns else 0):
            cell = row * self.columns + column
            if not self.masks[cell] and cell not in self.marks:
                self.marks[cell], self.layers[cell] = character, layer

    def mark(self, column: int, row: int, character: str, layer: int) -> None:
        """Puts a character into a cell, over its dots."""
        if 0 <= column < self.columns and 0 <= row < self.rows:
            cell = row * self.columns + column
            self.marks[cell] = character
            self.layers[cell] = layer

    def row(self, row: int) -> tuple[str, bytes]:
        """Returns the characters of a row and the layer of each; layer 0 is empty."""
        first = row * self.columns
        cells = slice(first, first + self.columns)
        masks, layers = self.masks[cells], self.layers[cells]
        text = [_CHARACTERS[mask] for mask in masks]
        shown = bytearray(layer if mask else 0 for layer, mask in zip(layers, masks, strict=True))
        if self.marks:
            for column in range(self.columns):
                if (mark := self.marks.get(first + column)) is not None:
                    text[column], shown[column] = mark, layers[column]
        return "".join(text), bytes(shown)
