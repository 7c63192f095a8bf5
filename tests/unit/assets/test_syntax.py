"""The normal form of code and the names that it reads, held against Python's own symbol tables."""
# Examples are lines of code.
# ruff: noqa: E501

import ast
import builtins
import symtable
import textwrap

import pytest

from afresh.assets.syntax import Syntax, read


def of(code: str) -> Syntax:
    return read(ast.parse(textwrap.dedent(code)).body[0])


def free(syntax: Syntax) -> set[str]:
    return {path[0] for path in syntax.reads} - set(vars(builtins))


def by_python(code: str) -> set[str]:
    """The globals that a function and all within it read, as the compiler sees it."""
    found: set[str] = set()

    def look(table: symtable.SymbolTable) -> None:
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module"):
                found.add(symbol.get_name())
        for child in table.get_children():
            look(child)

    # The module's own table has what defaults and decorators read.
    look(symtable.symtable(textwrap.dedent(code), "code.py", "exec"))
    return found - set(vars(builtins))


FUNCTIONS = {
    "attributes": "def f(a):\n    return a.x + helpers.clean(a).y + helpers.LIMIT",
    "call of a call": "def f():\n    return make(1).value.other",
    "defaults are read outside": "def f(a, b=LIMIT):\n    def g(x=b, y=OTHER):\n        return x + y\n    return g",
    "local names": "def f(a):\n    b = a + LIMIT\n    del a\n    return b",
    "bound later": "def f():\n    print(late)\n    late = 1",
    "comprehensions": "def f(rows):\n    return [x + y for x in rows for y in OTHERS if x in KNOWN]",
    "nested comprehension": "def f(rows):\n    return {k: [v * FACTOR for v in vs] for k, vs in rows.items()}",
    "name of a comprehension is its own": "def f(rows):\n    found = {x for x in rows}\n    return x, found",
    "walrus": "def f(rows):\n    return [last := row for row in rows], last, (n := LIMIT), n",
    "walrus in a comprehension in a comprehension": "def f(a):\n    return [[(w := y) for y in x] for x in a], w",
    "lambda": "def f(rows):\n    return sorted(rows, key=lambda row: row[KEY] + rank(row))",
    "star arguments": "def f(*args, k=1, **more):\n    return g(*args, **more, k=k)",
    "except": "def f():\n    try:\n        return work()\n    except (ValueError, Mine) as error:\n        return tell(error)\n    finally:\n        tidy()",
    "with": "def f():\n    with open(PATH) as file, lock:\n        return file",
    "for and while": "def f():\n    for i, (a, *b) in items():\n        while a < TOP:\n            a += STEP\n    else:\n        b = i\n    return b",
    "match": """
        def f(value):
            match value:
                case Point(x=0, y=[first, *rest]) if first > LIMIT:
                    return first, rest
                case {"a": inner, KEYS.b: _, **others}:
                    return inner, others
                case str() | Color.RED as both:
                    return both
        """,
    "class within": """
        def f(rows):
            class Row(Base, metaclass=Meta):
                size: int = SIZE
                other = size + 1

                @decorated
                def method(self):
                    return self.other + LIMIT
            return [Row(row) for row in rows]
        """,
    "global": "def f():\n    global COUNT\n    COUNT = COUNT + 1",
    "nonlocal": "def f():\n    n = 0\n    def g():\n        nonlocal n\n        n += STEP\n    return g",
    "async": "async def f(a):\n    async with a.open() as b:\n        return [x async for x in b if await check(x)]",
    "decorator within": "def f():\n    @cached(SIZE)\n    def g():\n        return LIMIT\n    return g",
    "annotated locals": "def f():\n    a: Unknown = VALUE\n    b: Other\n    return a",
    "f-string": 'def f(a):\n    return f"{a:{WIDTH}} {LIMIT!r}"',
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_names_that_are_read_are_those_of_python(name: str) -> None:
    code = FUNCTIONS[name]
    found = free(of(code))
    # Annotations of locals are never evaluated; the compiler counts them all the same. A class may
    # read a global that it then hides: that is counted to be safe.
    assert found - {"size"} == by_python(code) - {"Unknown", "Other"}


def test_what_a_global_is_added_to_is_read() -> None:
    assert free(of("def f():\n    global COUNT\n    COUNT += 1")) == {"COUNT"}
    assert free(of("def f(n):\n    n += 1\n    return n")) == set()


def test_a_function_in_a_class_does_not_see_its_names() -> None:
    code = "class A:\n    limit = 1\n    def f(self):\n        return limit"
    assert ("limit",) in of(code).reads


def test_imports_within_are_told_with_where_they_are_from() -> None:
    found = of(
        """
        def f():
            import a.b, c as d
            from .e import g as h, i
            from . import j
            return a.b.x, d, h, i, j
        """
    )
    assert found.imports == {
        "a": ("a", 0, ""),
        "d": ("c", 0, ""),
        "h": ("e", 1, "g"),
        "i": ("e", 1, "i"),
        "j": ("", 1, "j"),
    }
    assert {path[0] for path in found.reads} == {"a", "d", "h", "i", "j"}


def test_names_in_annotations_of_parameters_are_apart() -> None:
    found = of('def f(a: Flight, b: "frames.Frame[Row]", c: "a b", d: 5) -> Result: ...')
    assert found.annotated == (("Flight",), ("Row",), ("frames", "Frame"))
    assert found.reads == ()


SAME = {
    "layout and comments": (
        "def f(a):\n    return a+1",
        "def f(a):\n    # why\n    return (a + 1)",
    ),
    "docstrings and bare constants": (
        "def f(a):\n    return a",
        'def f(a):\n    """Doc."""\n    ...\n    return a',
    ),
    "pass": (
        "def f(a):\n    if a:\n        return 1",
        "def f(a):\n    if a:\n        pass\n        return 1",
    ),
    "its own name": ("def f(a):\n    return a", "def g(a):\n    return a"),
    "annotations": ("def f(a):\n    b = a", "def f(a: int) -> str:\n    b: int = a"),
    "how numbers and texts are written": (
        "def f():\n    return 16, 'a'",
        'def f():\n    return 0x10, "a"',
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_what_does_not_count(name: str) -> None:
    one, other = SAME[name]
    assert of(one).text == of(other).text


OTHER = {
    "a constant": ("def f():\n    return 1", "def f():\n    return 2"),
    "the kind of a constant": ("def f():\n    return 1", "def f():\n    return 1.0"),
    "true is not one": ("def f():\n    return 1", "def f():\n    return True"),
    "text is not a name": ("def f():\n    return a", "def f():\n    return 'a'"),
    "an operator": ("def f(a):\n    return a + 1", "def f(a):\n    return a - 1"),
    "a parameter's name": ("def f(a):\n    return 1", "def f(b):\n    return 1"),
    "a parameter's kind": ("def f(a, b):\n    return 1", "def f(a, *, b):\n    return 1"),
    "a default": ("def f(a=1):\n    return a", "def f(a=2):\n    return a"),
    "whose default": ("def f(*, a=1, b):\n    pass", "def f(*, a, b=1):\n    pass"),
    "an attribute": ("def f(a):\n    return a.b.c", "def f(a):\n    return a.c.b"),
    "which branch": (
        "def f(a):\n    if a:\n        return 1\n    return 2",
        "def f(a):\n    if a:\n        return 1\n    else:\n        return 2\n    return 2",
    ),
    "a loop's end": (
        "def f(a):\n    for b in a:\n        c()\n        d()",
        "def f(a):\n    for b in a:\n        c()\n    d()",
    ),
    "async": ("def f(a):\n    return a", "async def f(a):\n    return a"),
    "a decorator within": (
        "def f():\n    def g(): ...\n    return g",
        "def f():\n    @h\n    def g(): ...\n    return g",
    ),
    "what an exception is called": (
        "def f():\n    try: a()\n    except E as b: c(b)",
        "def f():\n    try: a()\n    except E as c: c(b)",
    ),
    "a pattern": (
        "def f(a):\n    match a:\n        case [b, *_]: return b",
        "def f(a):\n    match a:\n        case [*_, b]: return b",
    ),
    "a name in a pattern": (
        "def f(a):\n    match a:\n        case {'x': 1, **b}: return b",
        "def f(a):\n    match a:\n        case {'x': 1}: return b",
    ),
    "the level of an import": (
        "def f():\n    from .a import b",
        "def f():\n    from ..a import b",
    ),
    "a field's annotation": ("class A:\n    a: int", "class A:\n    a: str"),
    "conversion in an f-string": ('def f(a):\n    return f"{a}"', 'def f(a):\n    return f"{a!r}"'),
}


@pytest.mark.parametrize("name", OTHER)
def test_what_counts(name: str) -> None:
    one, other = OTHER[name]
    assert of(one).text != of(other).text


def test_decorators_are_told_apart() -> None:
    found = of("@outer\n@asset(group=GROUP)\ndef f(a):\n    return a")
    assert [piece.reads for piece in found.decorators] == [(("outer",),), (("GROUP",), ("asset",))]
    assert found.text == of("def f(a):\n    return a").text
