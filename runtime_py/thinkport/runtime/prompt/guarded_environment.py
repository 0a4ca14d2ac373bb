"""Jinja's sandbox with a budget: each step of a template is counted, and what it makes is counted before it is made.

The sandbox keeps a template from Python's objects, not from time and memory. Here loops, calls, filters, tests,
operators, comparisons, slices and output go through `render_budget`. Nothing is computed while a template is compiled.
Knows Jinja's compiler; must not know messages.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from thinkport.runtime.prompt.counted_calls import COMPARING, count_call, count_filter
from thinkport.runtime.prompt.marking import Marked
from thinkport.runtime.prompt.render_budget import RenderTooCostly, current

_SEQUENCES = (str, bytes, list, tuple)
_RECASING = ("capitalize", "casefold", "lower", "swapcase", "title", "upper")
_MOST_BITS = 4096  # of a power
NODES = 50_000  # of a template; Qwen3's has 400
_REPEATED = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.Block)


class _CountingCode(CodeGenerator):
    """Sends what Jinja would write as plain Python, and the sandbox doesn't see, through the environment."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - Jinja's name
        markup = "markup_join" if frame.eval_ctx.autoescape else "str_join"
        if frame.eval_ctx.volatile:
            markup = "(markup_join if context.eval_ctx.volatile else str_join)"
        self.write(f"environment.joined({markup}, (")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:  # noqa: N802
        self.write("(")
        self._comparable(node.expr, frame)
        for operand in node.ops:
            self.visit(operand, frame)
        self.write(")")

    def visit_Operand(self, node: nodes.Operand, frame: Frame) -> None:  # noqa: N802
        symbols = {"eq": "==", "ne": "!=", "gt": ">", "gteq": ">=", "lt": "<", "lteq": "<=", "in": "in"}
        self.write(f" {symbols.get(node.op, 'not in')} ")
        self._comparable(node.expr, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802
        self.write("{")
        for item in node.items:
            self._comparable(item.key, frame)
            self.write(": ")
            self.visit(item.value, frame)
            self.write(", ")
        self.write("}")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802
        if not isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
            return
        self.write("environment.sliced(")
        self.visit(node.node, frame)
        for edge in (node.arg.start, node.arg.stop, node.arg.step):
            self.write(", ")
            if edge is None:
                self.write("None")
            else:
                self.visit(edge, frame)
        self.write(")")

    def _comparable(self, node: nodes.Expr, frame: Frame) -> None:
        self.write("environment.comparable(")
        self.visit(node, frame)
        self.write(")")


class GuardedEnvironment(ImmutableSandboxedEnvironment):
    """An environment whose templates are rendered within `limited(budget)`, and compiled there too."""

    code_generator_class = _CountingCode
    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self, filters: Mapping[str, Callable[..., Any]], **options: Any) -> None:
        """`filters` are further ones, or take the place of Jinja's own; `options` are Jinja's."""
        super().__init__(optimized=False, finalize=pass_context(_put_out), **options)
        del self.globals["lipsum"]  # made-up text, as much as a template likes
        self.filters |= filters
        self.filters = {name: _counted_filter(name, function) for name, function in self.filters.items()}
        tests: dict[str, Any] = dict(self.tests)
        self.tests = {name: _counted_test(name, function) for name, function in tests.items()}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        parsed = super()._parse(source, name, filename)
        if sum(1 for _ in parsed.find_all(nodes.Node)) > NODES:
            raise RenderTooCostly(f"it has more than {NODES} nodes")
        for node in [*parsed.find_all(_REPEATED)]:
            text = sum(len(part.data) for part in node.find_all(nodes.TemplateData))
            tick = nodes.Call(nodes.EnvironmentAttribute("tick"), [nodes.Const(text)], [], None, None)
            body: Any = node
            body.body.insert(0, nodes.ExprStmt(tick).set_lineno(node.lineno))
        return parsed

    def tick(self, letters: int) -> None:
        """Count a round of a loop or a call of a macro, with the text that stands in it."""
        current().take(letters)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """See `SandboxedEnvironment.call`."""
        budget = current()
        budget.step()
        plain = isinstance(__obj, Macro) or __obj is Namespace
        if not plain and __obj != __self.tick:
            count_call(__obj, args, kwargs)
        owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if isinstance(owner, Marked) and name in _RECASING:
            return budget.made(owner.recased(lambda text: str(getattr(text, name)())))
        made = super().call(__context, __obj, *args, **kwargs)
        return budget.keep(made if plain else budget.made(made))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """See `SandboxedEnvironment.call_binop`."""
        budget = current()
        budget.step()
        if isinstance(left, _SEQUENCES) or isinstance(right, _SEQUENCES):
            _count_sequences(operator, left, right)
        budget.number(left)
        budget.number(right)
        if operator == "**" and isinstance(left, int) and isinstance(right, int) and _huge(left, right):
            raise RenderTooCostly("the template raises a number to a huge power")
        return budget.keep(super().call_binop(context, operator, left, right))

    def getitem(self, obj: Any, argument: Any) -> Any:
        """See `SandboxedEnvironment.getitem`."""
        return super().getitem(obj, self.comparable(argument))

    def comparable(self, value: Any) -> Any:
        """What is compared or looked up: of lists and mappings, all that they hold is counted."""
        if isinstance(value, list | tuple | dict | set | frozenset):
            current().weigh(value)
        else:
            current().step()
        return value

    def sliced(self, value: Any, start: Any, stop: Any, step: Any) -> Any:
        """`value[start:stop:step]`."""
        current().step()
        return current().made(value[slice(start, stop, step)])

    def joined(self, join: Callable[[Any], str], parts: tuple[Any, ...]) -> str:
        """The operator `~`."""
        current().weigh(parts)
        return str(current().keep(join(parts)))


def _count_sequences(operator: str, left: Any, right: Any) -> None:
    """Count what an operator makes of texts and lists."""
    budget = current()
    if operator == "%" and isinstance(left, str | bytes):
        budget.formatted(left, right)
    elif operator == "*":
        repeated, times = (left, right) if isinstance(right, int) else (right, left)
        each = 1 if isinstance(repeated, str | bytes) else 8
        budget.take(each * len(repeated) * max(0, times) if isinstance(times, int) else 0)
    else:
        budget.take(sum(len(one) for one in (left, right) if isinstance(one, _SEQUENCES)))


def _huge(base: int, power: int) -> bool:
    return base.bit_length() * abs(power) > _MOST_BITS


def _put_out(context: Context, value: Any) -> Any:
    current().weigh(value)
    return value


def _counted_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    first = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:
        budget, given = current(), list(args)
        budget.step()
        if name == "join" and len(given) > first and not isinstance(given[first], str | dict | list | tuple):
            given[first] = [*given[first]]
        count_filter(name, given[first:], kwargs)
        if name in _RECASING and isinstance(given[first], Marked):
            return given[first].recased(lambda text: str(function(*given[:first], text)))
        return budget.keep(budget.made(function(*given, **kwargs)))

    return counted


def _counted_test(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:
        current().step()
        if name in COMPARING:
            current().weigh(args)
        return function(*args, **kwargs)

    return counted
