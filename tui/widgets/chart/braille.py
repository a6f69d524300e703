"""A canvas of braille dots: each cell is 2 dots wide and 4 high, and has one layer on top."""

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bit of the dot at [x][y] within a cell, y from the top (Unicode chart U+2800)."""


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

    def dot(self, x: int, y: int, layer: int) -> None:
        """Sets one dot; a dot outside the canvas is left out."""
        if 0 <= x < self.width and 0 <= y < self.height:
            cell = (y >> 2) * self.columns + (x >> 1)
            self.masks[cell] |= _DOTS[x & 1][y & 3]
            if layer > self.layers[cell]:
                self.layers[cell] = layer

    def vertical(self, x: int, y0: int, y1: int, layer: int) -> None:
        """Draws the dots of one column from y0 to y1, a cell at a time."""
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

    def mark(self, column: int, row: int, character: str, layer: int) -> None:
        """Puts a character into a cell, over its dots."""
        if 0 <= column < self.columns and 0 <= row < self.rows:
            cell = row * self.columns + column
            self.marks[cell] = character
            self.layers[cell] = layer

    def row(self, row: int) -> list[tuple[str, int]]:
        """Returns a row of cells as runs of (text, layer); layer 0 is empty."""
        runs: list[tuple[str, int]] = []
        text = ""
        current = -1
        for cell in range(row * self.columns, (row + 1) * self.columns):
            mask = self.masks[cell]
            character = self.marks.get(cell) or (chr(0x2800 + mask) if mask else " ")
            layer = self.layers[cell] if character != " " else 0
            if layer != current:
                if text:
                    runs.append((text, current))
                text, current = "", layer
            text += character
        runs.append((text, current))
        return runs
