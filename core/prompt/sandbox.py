"""The sandbox in which chat templates run: foreign code that may neither reach out nor run on.

jinja2's immutable sandbox keeps a template from Python's attributes and from changing a row; here
a budget of loop turns and text is added, for a template that would never end. The names follow
transformers' `utils/chat_template_utils.py`.
"""

import datetime
import difflib
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox
import jinja2.utils
import jinja2.visitor
from jinja2.exceptions import SecurityError

MAX_LOOP_TURNS = 1_000_000
"""Turns of all loops in one render; a long conversation with many tools takes thousands."""
MAX_TEXT = 1 << 24
"""Characters of one render, and of any text that a template makes on the way."""
_MAX_BITS = 4096
"""Of a whole number: squared a few dozen times, a small one would keep the processor for days."""
_MOST_TIMES = 16
"""Formats of the time that are remembered one by one."""
_MAX_NUMBER = 1_000_000
"""Largest number that a template may hand to a function, such as a width to pad to."""

FAILURES = (
    jinja2.TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
    MemoryError,
)
"""What a template can raise on a row: its own refusal, or a fault in its expressions."""


class Sandbox(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """Jinja's immutable sandbox with the names of transformers' and a budget for each render.

    jinja2 has no loader here, so nothing can be included or imported.
    """

    filters: dict[str, Any]
    tests: dict[str, Any]
    globals: dict[str, Any]
    intercepted_binops = frozenset({"*", "**", "+", "%"})
    _left = 0

    def __init__(self) -> None:
        self.times: dict[str, str] = {}
        """What templates were told of the time, by format; "" where it changed meanwhile."""
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[jinja2.ext.loopcontrols, GenerationTag],
            # Folding constants would run filters while compiling, outside the budget.
            optimized=False,
        )
        for name in ("center", "indent", "batch", "slice", "wordwrap", "format", "truncate"):
            self.filters[name] = _limited(self.filters[name])
        self.filters["tojson"] = _tojson
        self.filters[_Budget.loop] = self._loop
        self.filters[_Budget.join] = self._join
        self.globals.pop("lipsum")
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = self._strftime_now
        self.globals["namespace"] = _Namespace

    def compiled(self, source: str, *, strict: bool = False) -> jinja2.Template:
        """Compiles a template with every loop under the budget.

        jinja2 forgives unknown filters and tests in branches, for a check whether they exist;
        `strict` does not, so that a slip of the pen shows before a row gets there.
        """
        parsed = self.parse(source)
        if strict:
            self._check_names(parsed)
        tree: jinja2.nodes.Template = _Budget().visit(parsed)
        code = self.compile(tree)
        # A plain dict: every render copies it, and jinja2's own map of maps is slow to copy.
        return jinja2.Template.from_code(self, code, dict(self.globals))

    def _check_names(self, tree: jinja2.nodes.Template) -> None:
        for node in tree.find_all((jinja2.nodes.Filter, jinja2.nodes.Test)):
            kind = "filter" if isinstance(node, jinja2.nodes.Filter) else "test"
            if node.name not in (self.filters if kind == "filter" else self.tests):
                raise jinja2.TemplateAssertionError(f"No {kind} named '{node.name}'.", node.lineno)

    def run(self, template: jinja2.Template, variables: dict[str, Any]) -> str:
        """Renders within a fresh budget."""
        self._left = MAX_LOOP_TURNS
        pieces: list[str] = []
        size = 0
        try:
            for piece in template.root_render_func(template.new_context(variables)):
                size += len(piece)
                if size > MAX_TEXT:
                    raise SecurityError("the template makes too much text")
                pieces.append(piece)
        except FAILURES:
            self.handle_exception()
        return "".join(pieces)

    def near(self, message: str) -> str:
        """Returns a did-you-mean for a filter or test that does not exist, or nothing."""
        missing = re.match(r"No (filter|test) named '(\w+)'", message)
        if missing is None:
            return ""
        known = self.filters if missing[1] == "filter" else self.tests
        public = [name for name in known if not name.startswith("sft_tui")]
        close = difflib.get_close_matches(missing[2], public, n=1)
        return f" Did you mean '{close[0]}'?" if close else ""

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:  # pyright: ignore
        """Calls for the template; neither arguments nor result may be huge."""
        _check_numbers((*args, *kwargs.values()))
        return _checked(super().call(context, obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Looks at the widths of `text.format` before jinja2 wraps it, where the text is known."""
        wrapped = super().wrap_str_format(value)
        if wrapped is not None:
            _check_widths(value.__self__)
        return wrapped

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Computes for the template; what grows is measured before it is made."""
        if operator == "+":  # most of what templates do
            return _checked(left + right)
        if operator == "*":
            if hasattr(left, "__len__") or hasattr(right, "__len__"):
                _check_size(_length(left) * _length(right))
            else:
                _check_bits(left, right, 1)
        elif operator == "**":
            _check_bits(left, left, right)
        elif operator == "%" and isinstance(left, str):
            _check_widths(left)
            _check_numbers(cast(Any, right) if isinstance(right, tuple) else (right,))
        return _checked(super().call_binop(context, operator, left, right))

    def _loop(self, items: Any) -> Any:
        """Charges a loop before its first turn."""
        if not hasattr(items, "__len__"):
            items = list(items)
        self._left -= len(items)
        if self._left < 0:
            raise SecurityError(f"the template loops more than {MAX_LOOP_TURNS:,} times")
        return items

    def _strftime_now(self, format: str) -> str:
        now = strftime_now(format)
        # A template that takes formats out of rows may ask for any number of them.
        known = format if format in self.times or len(self.times) < _MOST_TIMES else "…"
        if self.times.setdefault(known, now) != now:
            self.times[known] = ""
        return now

    def _join(self, parts: list[Any]) -> str:
        """The operator `~`, whose growth jinja2 itself does not let us see."""
        return _checked("".join(map(str, parts)))


class _Budget(jinja2.visitor.NodeTransformer):
    """Puts each loop and each `~` of a template through a filter that counts."""

    loop = "sft_tui_loop"
    join = "sft_tui_join"

    def visit_For(self, node: jinja2.nodes.For) -> jinja2.nodes.Node:
        """Counts what a loop goes over."""
        self.generic_visit(node)
        node.iter = self._filtered(cast(jinja2.nodes.Expr, node.iter), self.loop)
        return node

    def visit_Concat(self, node: jinja2.nodes.Concat) -> jinja2.nodes.Node:
        """Measures what is joined."""
        self.generic_visit(node)
        return self._filtered(jinja2.nodes.List(node.nodes, lineno=node.lineno), self.join)

    def _filtered(self, node: jinja2.nodes.Expr, name: str) -> jinja2.nodes.Expr:
        call = jinja2.nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
        call.set_environment(cast(Any, node.environment))
        return call


class GenerationTag(jinja2.ext.Extension):
    """The block tag `generation`, which wraps what the assistant says."""

    tags = {"generation"}
    marker = "sft_tui_mark_generation"

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        """Turns the block into a call of the marking function with the rendered body."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_wrap", [jinja2.nodes.Name(self.marker, "load")])
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _wrap(self, mark: Any, caller: Any) -> str:
        return mark(caller())


class _Namespace(jinja2.utils.Namespace):
    """Jinja's namespace without names that begin with an underscore."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            raise SecurityError(f"a namespace cannot hold {name!r}")
        super().__setitem__(name, value)


def _limited(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keeps huge widths and counts from a filter of jinja's."""

    def limited(*args: Any, **kwargs: Any) -> Any:
        _check_numbers((*args, *kwargs.values()))
        if function.__name__ == "do_format":
            _check_widths(args[0])
        return _checked(function(*args, **kwargs))

    # jinja2 reads from attributes whether a filter wants the environment first.
    vars(limited).update(vars(function))
    return limited


def _check_numbers(values: Sequence[Any]) -> None:
    for value in values:
        if isinstance(value, int) and abs(value) > _MAX_NUMBER:
            raise SecurityError(f"the template uses a number over {_MAX_NUMBER:,}")


def _check_widths(form: Any) -> None:
    if isinstance(form, str) and re.search(r"\d{7,}", form):
        raise SecurityError(f"the template uses a width over {_MAX_NUMBER:,}")


def _check_bits(left: Any, right: Any, times: Any) -> None:
    if all(isinstance(value, int) for value in (left, right, times)):
        bits = (left.bit_length() + (right.bit_length() if times == 1 else 0)) * max(times, 1)
        if bits > _MAX_BITS:
            raise SecurityError("the template computes too large a number")


def _check_size(size: int) -> None:
    if size > MAX_TEXT:
        raise SecurityError("the template makes too much text")


def _length(value: Any) -> int:
    return len(value) if hasattr(value, "__len__") else int(value)


def _checked(value: Any) -> Any:
    if type(value) is str and len(value) <= MAX_TEXT:  # nearly always
        return value
    if hasattr(value, "__len__"):
        _check_size(len(value))
    return value


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # jinja2's own filter escapes HTML characters, which would change the prompt.
    _check_numbers((indent,))
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def strftime_now(format: str) -> str:
    """Returns the time of now as transformers gives it to templates."""
    return datetime.datetime.now().strftime(format)
