"""The page of a report: its style, and the few pieces of HTML that it is made of.

Every text passes `shown`, so that nothing in it can be a tag, a script or an escape sequence. The
page may load nothing: it says so to the browser as well.
"""

import html
from collections.abc import Iterable

from .text import printable

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b222b; --muted: #5a6572; --rule: #d9dde2;
  --panel: #f4f5f7; --train: #4c78a8; --smooth: #1f3f66; --eval: #c8372d; }
@media screen and (prefers-color-scheme: dark) { :root { --paper: #10151b; --ink: #dce3ea;
  --muted: #93a1b0; --rule: #323d49; --panel: #1a222b; --train: #4f86bd; --smooth: #a9d3ff;
  --eval: #ff7d6b; } }
* { box-sizing: border-box; }
body { background: var(--paper); color: var(--ink); max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; font: 16px/1.5 system-ui, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; border-bottom: 1px solid var(--rule); }
p { margin: .4rem 0; } .muted { color: var(--muted); }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0;
  border-bottom: 1px solid var(--rule); overflow-wrap: anywhere; }
th { font-weight: 600; color: var(--muted); } td:first-child { white-space: nowrap; }
pre, code { font: .85rem/1.45 ui-monospace, Menlo, Consolas, monospace; }
pre { background: var(--panel); padding: .7rem .9rem; margin: .3rem 0; border-radius: 4px;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.sample { margin: 0 0 1.4rem; } h3 { font-size: .95rem; margin: .6rem 0 .2rem; }
.sides { display: table; table-layout: fixed; width: 100%; }
.sides > div { display: table-cell; padding-right: .8rem; }
svg { width: 100%; height: auto; display: block; }
.charts svg { display: inline-block; width: 49%; } .charts svg text { font-size: 17px; }
.charts svg:first-child { width: 100%; } .charts svg:first-child text { font-size: 13px; }
@media (max-width: 45rem) { .charts svg { width: 100%; }
  .sides, .sides > div { display: block; padding: 0; } }
svg .paper { fill: none; } svg text { fill: var(--ink); } svg .grid { stroke: var(--rule); }
svg polyline.train, svg line.train { stroke: var(--train); }
svg circle.train { fill: var(--train); }
svg polyline.smooth, svg line.smooth { stroke: var(--smooth); }
svg circle.smooth { fill: var(--smooth); }
svg polyline.evaluation, svg line.evaluation { stroke: var(--eval); }
svg circle.evaluation { fill: var(--eval); }
@media print { body { max-width: none; margin: 0; font-size: 11pt; } h2 { break-after: avoid; }
  svg, tr { break-inside: avoid; } }
"""


def page(title: str, sections: Iterable[str]) -> str:
    """Returns the whole document; its sections are HTML."""
    body = "\n".join(section for section in sections if section)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{shown(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def shown(text: str) -> str:
    """Returns text as HTML that shows it as it is, but for control characters."""
    return html.escape(printable(text))


def section(heading: str, *parts: str) -> str:
    """Returns a part of the page under a heading; "" where there is nothing under it."""
    inner = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{shown(heading)}</h2>\n{inner}\n</section>" if inner else ""


def paragraph(text: str, *, muted: bool = False) -> str:
    """Returns a sentence or two."""
    kind = ' class="muted"' if muted else ""
    return f"<p{kind}>{shown(text)}</p>"


def table(rows: Iterable[Iterable[str]], headings: Iterable[str] = ()) -> str:
    """Returns rows of text; "" where there are none."""
    head = "".join(f"<th>{shown(text)}</th>" for text in headings)
    body = ["".join(f"<td>{shown(text)}</td>" for text in row) for row in rows]
    if not body:
        return ""
    lines = [f"<tr>{cells}</tr>" for cells in ([head] if head else []) + body]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def block(text: str) -> str:
    """Returns text with its own line breaks."""
    return f"<pre>{shown(text)}</pre>"


def side(heading: str, text: str | None) -> str:
    """Returns a text in a column of its own; "" for none at all."""
    if text is None:
        return ""
    return f"<div><h3>{shown(heading)}</h3>{block(text or '(nothing)')}</div>"


def grid(name: str, parts: Iterable[str]) -> str:
    """Returns parts beside each other, of one of the kinds that the style knows."""
    return f'<div class="{name}">\n' + "\n".join(part for part in parts if part) + "\n</div>"
