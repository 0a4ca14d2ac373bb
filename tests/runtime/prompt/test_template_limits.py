"""A template of a stranger can neither fill the memory nor run for long, and an honest one pays little for that."""

import json
from pathlib import Path
from time import thread_time

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.prompt.template import ChatTemplate

ASKED = [{"role": "user", "content": "hi"}]
DOUBLES = "{% set ns = namespace(x='ab', l=[1]) %}{% for i in range(64) %}BODY{% endfor %}{{ ns.x }}"
BOMBS = {
    "times": "{{ 'a' * 20000000000 }}",
    "times the other way": "{{ 20000000000 * 'a' }}",
    "a list times": "{{ ([0] * 20000000000) | length }}",
    "center": "{{ 'a' | center(10000000000) }}",
    "the method center": "{{ 'a'.center(10000000000) }}",
    "ljust": "{{ 'a'.ljust(10000000000) }}",
    "zfill": "{{ 'a'.zfill(10000000000) }}",
    "expandtabs": "{{ ('\t' * 1000).expandtabs(100000000) }}",
    "nested ranges": "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "nested ranges with a test": "{% for i in range(100000) %}{% for j in range(100000) if j < 0 %}{% endfor %}"
    "{% endfor %}",
    "text in nested ranges": "{% for i in range(100000) %}{% for j in range(100) %}"
    + "a" * 1000
    + "{% endfor %}{% endfor %}",
    "doubling by ~": DOUBLES.replace("BODY", "{% set ns.x = ns.x ~ ns.x %}"),
    "doubling by +": DOUBLES.replace("BODY", "{% set ns.x = ns.x + ns.x %}"),
    "doubling by join": DOUBLES.replace("BODY", "{% set ns.x = [ns.x, ns.x] | join %}"),
    "doubling by the method join": DOUBLES.replace("BODY", "{% set ns.x = ns.x.join([ns.x, ns.x]) %}"),
    "doubling by replace": DOUBLES.replace("BODY", "{% set ns.x = ns.x | replace('a', ns.x) %}"),
    "doubling by the method replace": DOUBLES.replace("BODY", "{% set ns.x = ns.x.replace('', ns.x) %}"),
    "doubling by %": DOUBLES.replace("BODY", "{% set ns.x = '%s%s' % (ns.x, ns.x) %}"),
    "doubling by format": DOUBLES.replace("BODY", "{% set ns.x = '%s%s' | format(ns.x, ns.x) %}"),
    "doubling by the method format": DOUBLES.replace("BODY", "{% set ns.x = '{0}{0}'.format(ns.x) %}"),
    "doubling by format_map": DOUBLES.replace("BODY", "{% set ns.x = '{a}{a}'.format_map({'a': ns.x}) %}"),
    "doubling by a block": DOUBLES.replace("BODY", "{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}"),
    "doubling by tojson": DOUBLES.replace("BODY", "{% set ns.x = [ns.x, ns.x] | tojson %}"),
    "doubling by string": DOUBLES.replace("BODY", "{% set ns.x = [ns.x, ns.x] | string %}"),
    "doubling by a macro": "{% macro m(x) %}{{ x }}{{ x }}{% endmacro %}"
    + DOUBLES.replace("BODY", "{% set ns.x = m(ns.x) %}"),
    "doubling by translate": DOUBLES.replace("BODY", "{% set ns.x = ns.x.translate({97: ns.x, 98: ns.x}) %}"),
    "doubling a list that is written": DOUBLES.replace("BODY", "{% set ns.l = [ns.l, ns.l] %}") + "{{ ns.l }}",
    "doubling a list that is JSON": DOUBLES.replace("BODY", "{% set ns.l = [ns.l, ns.l] %}") + "{{ ns.l | tojson }}",
    "doubling lists that are compared": "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(64) %}"
    "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
    "doubling lists that a test compares": "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(64) %}"
    "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a is eq ns.b }}",
    "doubling tuples that are keys": "{% set ns = namespace(a=(1,)) %}{% for i in range(64) %}"
    "{% set ns.a = (ns.a, ns.a) %}{% endfor %}{{ {ns.a: 1} | length }}",
    "doubling tuples that are looked up": "{% set ns = namespace(a=(1,)) %}{% for i in range(64) %}"
    "{% set ns.a = (ns.a, ns.a) %}{% endfor %}{{ {}[ns.a] }}",
    "doubling lists by +": DOUBLES.replace("BODY", "{% set ns.l = ns.l + ns.l %}"),
    "a width in %": "{{ '%1000000000d' % 1 }}",
    "a width that is a value": "{{ '%*d' % (1000000000, 1) }}",
    "a width in format": "{{ '{:1000000000}'.format(1) }}",
    "a width that is a value, in format": "{{ '{:{}}'.format(1, 1000000000) }}",
    "a width in the filter format": "{{ '%1000000000d' | format(1) }}",
    "many widths": "{{ ('%(a)9999d' * 300000) % {'a': 1} }}",
    "many widths in format": "{{ ('{0:9999}' * 300000).format(1) }}",
    "many places of a long number": "{{ ('{0:b}' * 300000).format(2 ** 4000) }}",
    "many places of a long float": "{{ ('%(a)f' * 600000) % {'a': 1e308} }}",
    "tojson's separators": "{{ range(9000) | list | tojson(separators=('y' * 1000000, ':')) }}",
    "wordwrap's ends of lines": "{{ ('a ' * 90000) | wordwrap(1, wrapstring='y' * 100000) }}",
    "urlize's targets": "{{ ('http://a.com ' * 9000) | urlize(target='y' * 1000000) }}",
    "a power": "{{ 9 ** (9 ** 9) }}",
    "squaring": "{% set ns = namespace(n=10) %}{% for i in range(64) %}{% set ns.n = ns.n * ns.n %}{% endfor %}"
    "{{ ns.n }}",
    "a number of many digits": "{{ ('f' * 4000000) | int(base=16) // 3 }}",
    "round": "{{ 1.5 | round(1000000000, 'ceil') }}",
    "batch": "{{ [1] | batch(10000000000, 0) | list }}",
    "slice": "{{ [1] | slice(10000000000) | list }}",
    "indent": "{{ 'a\nb' | indent(10000000000) }}",
    "tojson's indent": "{{ [1] | tojson(indent=10000000000) }}",
    "to_bytes": "{{ (5).to_bytes(10000000000, 'big') | length }}",
    "lipsum": "{{ lipsum(100000000) }}",
    "sums of lists": "{{ ([range(1000) | list] * 100000) | sum(start=[]) | length }}",
    "a macro that calls itself twice": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}"
    "{{ m(64) }}",
    "a loop within itself": "{% for x in [range(100)] recursive %}{{ loop(x) if x is iterable else '' }}"
    "{{ loop([x, x]) }}{% endfor %}",
    "many texts": "{{ (('a ' * 4000000).split()) | length }}",
    "letters of a text": "{{ ('é' * 8000000) | list | length }}",
    "a text over and over": "{% set x = 'a' * 4000000 %}{% for i in range(100000) %}{{ x[1:] == x[:2] }}{% endfor %}",
    "a constant of autoescape": "{% autoescape 'a' | center(10000000000) %}{% endautoescape %}",
    "nested lists without end": "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}"
    "{% endfor %}{{ ns.l }}",
}


@pytest.mark.parametrize("source", BOMBS.values(), ids=BOMBS)
def test_a_template_that_makes_much_of_nothing_is_refused_within_a_second(source: str) -> None:
    begun = thread_time()
    with pytest.raises((InputError, ArtifactError)):
        ChatTemplate(source, {}).render(ASKED)
    assert thread_time() - begun < 4  # a second of its own, on a machine that does other things


def test_a_render_takes_little_memory() -> None:
    """The largest of what the bombs above make before they are refused."""
    import tracemalloc

    tracemalloc.start()
    try:
        for name in ("doubling by ~", "doubling by a block", "doubling lists by +", "times", "many texts"):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            with pytest.raises(InputError):
                ChatTemplate(BOMBS[name], {}).render(ASKED)
            assert tracemalloc.get_traced_memory()[1] - before < 64 << 20, name
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "source", ["{{ a }}" * 60_000, "a" * (1 << 19), "{{ " + "9" * 5000 + " }}", "{% if a %}" * 5000]
)
def test_a_template_that_no_program_should_compile_is_refused(source: str) -> None:
    begun = thread_time()
    with pytest.raises(ArtifactError):
        ChatTemplate(source, {})
    assert thread_time() - begun < 6


HONEST = [
    "{{ messages[0].content | trim | upper | capitalize | title | replace('H', 'h') }}",
    "{{ '%s and %5.2f' % ('a', 2.5) }}{{ '%s' | format('b') }}{{ '{:>8}'.format('c') }}",
    "{{ [3, 1, 2] | sort | join(', ') }}{{ {'b': 1, 'a': 2} | dictsort }}{{ [1, 2] | sum }}",
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n ** 2 }}",
    "{% for a, b in {'x': 1, 'y': [1, 2]}.items() %}{{ a }}={{ b | tojson(indent=2) }}{% endfor %}",
    "{% macro m(x, y=2) %}[{{ x }}{{ y }}{{ caller() if caller else '' }}]{% endmacro %}{{ m('a') }}"
    "{% call m('b') %}c{% endcall %}",
    "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }}",
    "{{ 'abcdef'[1:4] ~ 'abcdef'[::-1] ~ (1, 2)[0] }}{{ [1, 2, 3][:-1] }}{{ 'a' in 'abc' }}{{ 1 not in [1] }}",
    "{% for x in range(3) if x > 0 %}{{ loop.index }}{{ loop.last }}{{ loop.length }}{% else %}none{% endfor %}",
    "{{ 'a\nb' | indent(4, true) }}{{ 'x' | center(9) }}{{ [1, 2, 3] | batch(2, 0) | list }}{{ 2.345 | round(1) }}",
    "{% filter upper %}abc{% endfilter %}{% set x %}d{% endset %}{{ x }}{{ undefined_name is defined }}",
    "{{ 'a,b'.split(',') }}{{ ' x '.strip() }}{{ 'abc'.startswith('a') }}{{ 'a'.join(['b', 'c']) }}",
    "{% for x in [[1, [2]], 3] recursive %}{{ loop(x) if x is iterable else x }}{% endfor %}",
    "{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}"
    "{% endfor %}",
    "{{ messages | map('tojson') | join('\n') }}{{ [[1], [2]] | map('first') | list }}{{ 'é' | tojson }}",
    "{{ 7 // 2 }}{{ 7 % 4 }}{{ -3 }}{{ 1 / 4 }}{{ 2 - 5 }}{{ [1] + [2] }}{{ 'ab' * 3 }}{{ 1 < 2 < 3 }}",
    "{% autoescape true %}{{ '<' ~ '&' }}{{ '<b>' | safe }}{% endautoescape %}{{ '<' | e }}",
]


@pytest.mark.parametrize("source", HONEST)
def test_an_honest_template_gives_what_jinjas_own_sandbox_gives(source: str) -> None:
    plain = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    plain.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    messages = [*ASKED, {"role": "assistant", "content": "ok é"}]
    assert ChatTemplate(source, {}).render(messages) == plain.from_string(source).render(messages=messages)


def test_what_a_turn_pays_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, since machines differ: what the budget adds to the render of a conversation with tools."""
    folder = Path(__file__).parents[3] / "artifacts" / "checkpoints" / "nano-qwen3"
    source = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))["chat_template"]
    plain = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    plain.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False)
    theirs, ours = plain.from_string(source), ChatTemplate(source, {})
    turns = [{"role": role, "content": "What is 3 plus 4? " * 40} for _ in range(20) for role in ("user", "assistant")]
    messages = [*turns, {"role": "user", "content": "And now?"}]

    def seconds(render) -> float:
        best = 1e9
        for _ in range(20):
            begun = thread_time()
            render()
            best = min(best, thread_time() - begun)
        return best

    plainly = seconds(lambda: theirs.render(messages=messages, add_generation_prompt=True, tools=None))
    counted = seconds(lambda: ours.render(messages))
    assert ours.render(messages) == theirs.render(messages=messages, add_generation_prompt=True, tools=None)
    with capsys.disabled():
        print(f"\n41 messages: {1e3 * plainly:.2f} ms by Jinja alone, {1e3 * counted:.2f} ms with the budget")
