"""A line chart in braille dots: series, canvas, axis, and the widget that draws them."""
