import importlib
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from afresh.assets.fingerprint import code_key, definition_line, forget
from afresh.assets.manifest import Schema, Where

MAIN = """
import enum
import functools
import math
import re
from dataclasses import dataclass
from pathlib import Path

import helpers
import numpy as np
import pandas as pd
from afresh import asset
from helpers import scaled as scale
from more import tools

LIMIT = 3
NAMES = {"b": 1, "a": [1, 2, {3, 4}]}
TABLE = pd.DataFrame({"x": [1, 2]})
GRID = np.array([1.0, 2.0])
PATTERN = re.compile("a+")
HERE = Path(__file__).parent / "x.csv"
HANDLERS = {"one": lambda value: value + 1, "two": helpers.other}
OPAQUE = functools.singledispatch(helpers.clean)
LATER = object()
RATES = pd.Series([1.0, 2.0], index=["eur", "usd"])
CHECKS = {helpers.other, helpers.scaled, helpers.deep}


class Color(enum.Enum):
    RED = 1


@dataclass
class Config:
    factor: int = 2

    def times(self, value):
        return value * self.factor


CONFIG = Config()


class Base:
    rate = 5

    def of(self, value):
        return value + helpers.deep(value)


class Child(Base):
    pass


def traced(function):
    @functools.wraps(function)
    def call(*args):
        return function(*args) + 0
    return call


@asset(owner="me", tags=["x"])
def simple(flights: "pd.DataFrame") -> pd.DataFrame:
    '''What it is.'''
    # why
    return flights + 1


def calls(x):
    return helpers.clean(x)


def renamed_import(x):
    return scale(x)


def in_package(x):
    return tools.deep.cut(x)


def constants(x):
    return x + LIMIT + math.pi


def plain_data(x):
    return NAMES["b"], TABLE, GRID, PATTERN


def handlers(x):
    return HANDLERS["one"](x)


def handlers_two(x):
    return [HANDLERS["two"]]


def default(x, y=LIMIT):
    return x + y


def instance(x):
    return CONFIG.times(x)


def inherits(x):
    return Child().of(x)


def annotated(x, config: Config):
    return config.times(x)


@traced
def decorated(x):
    return x


def makes(n):
    def inner(x):
        return x + n
    return inner


made = makes(LIMIT)


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


def itself(n):
    return n and itself(n - 1)


def imports_late(x):
    from late import late
    import helpers as h
    return late(h.clean(x))


def shadows(flights, simple):
    LIMIT = 1
    return [simple for helpers in flights] + [LIMIT]


def colored(x):
    return Color.RED


def dispatches(x):
    return OPAQUE(x)


def finds(x):
    return HERE


def nested(x):
    def clean(y):
        return y + LIMIT
    return clean(x)


def whole_module(x):
    return getattr(helpers, "clean")(x)


first, second = (lambda x: x + 1), (lambda x: x + LIMIT)


@functools.singledispatch
def general(x):
    return x


@general.register
def of_text(x: str):
    return x + "!"


def by_type(x):
    return general(x)


def labelled(x):
    return RATES[x]


def checks(x):
    return [check(x) for check in CHECKS]


def imports_a_submodule(x):
    import more.unseen
    return more.unseen.late(x)


def unrelated(x):
    return x
"""
HELPERS = """
RATE = 2


def clean(x):
    return x * RATE


def other(x):
    return x


def deep(x):
    return clean(x)


def scaled(x):
    return deep(x)
"""
FILES = {
    "main.py": MAIN,
    "helpers.py": HELPERS,
    "late.py": "def late(x):\n    return x\n",
    "more/__init__.py": "",
    "more/tools/__init__.py": "from more.tools import deep\n",
    "more/unseen.py": "def late(x):\n    return x\n",
    "more/tools/deep.py": "def cut(x):\n    return x\n",
}


class Project:
    """Copies of a project, each loaded as it would be in its own process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def keys(self, *changes: tuple[str, str, str]) -> Mapping[str, str]:
        """Load it with text replaced in files; give the code keys of the functions of `main`."""
        self._count += 1
        root = self._folder / str(self._count)
        files = dict(FILES)
        for file, old, new in changes:
            assert old in files[file], old
            files[file] = files[file].replace(old, new)
        for file, text in files.items():
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Keys(root)


class Keys(Mapping[str, str]):
    def __init__(self, root: Path) -> None:
        self._forget()
        sys.path.insert(0, str(root))
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        try:
            self.main = importlib.import_module("main")
            self._keys = {
                name: code_key(value, root=str(root))
                for name, value in vars(self.main).items()
                if callable(value)
                and not isinstance(value, type)
                and getattr(value, "__module__", "") == "main"
            }
            self.root = root
        finally:
            sys.path.remove(str(root))
            sys.dont_write_bytecode = before
            importlib.invalidate_caches()
            self._forget()

    @staticmethod
    def _forget() -> None:
        for name in list(sys.modules):
            if name.partition(".")[0] in {"main", "helpers", "late", "more"}:
                del sys.modules[name]

    def __getitem__(self, name: str) -> str:
        return self._keys[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def changed(self, other: "Mapping[str, str]") -> set[str]:
        return {name for name in self if self[name] != other.get(name)}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def base(project: Project) -> Keys:
    keys = project.keys()
    assert isinstance(keys, Keys)
    return keys


def test_another_place_is_the_same_code(project: Project, base: Keys) -> None:
    assert base.changed(project.keys()) == set()
    assert len(base) > 25
    assert len(set(base.values())) == len(base)


SAME = {
    "comment": ("# why", "# because"),
    "docstring": ("'''What it is.'''", "'''Something else.'''"),
    "no docstring": ("'''What it is.'''\n    ", ""),
    "layout": ("flights + 1", "(flights\n            + 1)"),
    "annotation": ('flights: "pd.DataFrame"', "flights: pd.Series"),
    "no annotation": (") -> pd.DataFrame:", "):"),
    "local annotation": ("LIMIT = 1\n", "LIMIT: int = 1\n"),
    "owner": ('owner="me"', 'owner="you", description="x"'),
    "decorator without a call": ('@asset(owner="me", tags=["x"])', "@asset"),
    "import order": ("import math\nimport re\n", "import re\nimport math\n"),
    "moved down": ("LIMIT = 3\n", "LIMIT = 3\n\n\n\n"),
    "constant computed": ("LIMIT = 3\n", "LIMIT = 1 + 2\n"),
    "set order": ("{3, 4}", "{4, 3}"),
    "pass": ("    return flights + 1", "    pass\n    return flights + 1"),
    "string as a comment": ("    return flights + 1", "    'note'\n    return flights + 1"),
}


@pytest.mark.parametrize("case", SAME)
def test_what_does_not_count(project: Project, base: Keys, case: str) -> None:
    assert base.changed(project.keys(("main.py", *SAME[case]))) == set()


READS_CLEAN = {
    *("calls", "renamed_import", "inherits", "imports_late", "dispatches", "whole_module", "checks")
}
CHANGES = {
    "own body": (("main.py", "flights + 1", "flights + 2"), {"simple"}),
    "helper": (("helpers.py", "x * RATE", "x - RATE"), READS_CLEAN),
    "constant of a helper": (("helpers.py", "RATE = 2", "RATE = 2.0"), READS_CLEAN),
    "unread helper": (
        ("helpers.py", "def other(x):\n    return x", "def other(x):\n    return -x"),
        {"handlers", "handlers_two", "whole_module", "checks"},
    ),
    "in a package": (("more/tools/deep.py", "return x", "return -x"), {"in_package"}),
    "imported late": (("late.py", "return x", "return -x"), {"imports_late"}),
    "submodule imported late": (
        ("more/unseen.py", "return x", "return -x"),
        {"imports_a_submodule"},
    ),
    "constant": (
        ("main.py", "LIMIT = 3", "LIMIT = 4"),
        {"constants", "default", "made", "nested", "second"},
    ),
    "constant's type": (
        ("main.py", "LIMIT = 3", "LIMIT = True"),
        {"constants", "default", "made", "nested", "second"},
    ),
    "nested data": (("main.py", "{3, 4}", "{3, 5}"), {"plain_data"}),
    "frame": (("main.py", '"x": [1, 2]', '"x": [1, 3]'), {"plain_data"}),
    "rows of a frame": (
        ("main.py", '{"x": [1, 2]})', '{"x": [1, 2]}, index=[5, 6])'),
        {"plain_data"},
    ),
    "rows of a series": (("main.py", '"usd"', '"gbp"'), {"labelled"}),
    "implementation for a type": (
        ("main.py", 'x + "!"', 'x + "?"'),
        {"general", "of_text", "by_type"},
    ),
    "array": (("main.py", "np.array([1.0, 2.0]", "np.array([1.0, 2.5]"), {"plain_data"}),
    "pattern": (("main.py", '"a+"', '"a*"'), {"plain_data"}),
    "lambda in a dict": (("main.py", "value + 1", "value + 2"), {"handlers", "handlers_two"}),
    "lambda on one line": (("main.py", "(lambda x: x + 1)", "(lambda x: x + 9)"), {"first"}),
    "order of a dict": (
        ("main.py", '{"b": 1, "a": [1, 2, {3, 4}]}', '{"a": [1, 2, {3, 4}], "b": 1}'),
        {"plain_data"},
    ),
    "class attribute": (("main.py", "rate = 5", "rate = 6"), {"inherits"}),
    "inherited method": (("main.py", "value + helpers", "value - helpers"), {"inherits"}),
    "method of a constant": (
        ("main.py", "value * self.factor", "value + self.factor"),
        {"instance", "annotated"},
    ),
    "state of a constant": (("main.py", "CONFIG = Config()", "CONFIG = Config(3)"), {"instance"}),
    "decorator of the project": (
        ("main.py", "function(*args) + 0", "function(*args) + 1"),
        {"decorated", "traced"},
    ),
    "decorated": (
        ("main.py", "def decorated(x):\n    return x", "def decorated(x):\n    return 1"),
        {"decorated"},
    ),
    "decorator added": (("main.py", "def unrelated", "@traced\ndef unrelated"), {"unrelated"}),
    "closure": (("main.py", "return x + n", "return x - n"), {"makes", "made"}),
    "recursion": (("main.py", "n and itself", "n or itself"), {"itself"}),
    "mutual recursion": (("main.py", "n == 0 or", "n == 1 or"), {"even", "odd"}),
    "member of an enum": (("main.py", "RED = 1", "RED = 2"), {"colored"}),
    "opaque constant": (
        ("main.py", "singledispatch(helpers.clean)", "singledispatch(helpers.other)"),
        {"dispatches"},
    ),
    "path": (("main.py", '"x.csv"', '"y.csv"'), {"finds"}),
    "inner function": (("main.py", "return y + LIMIT", "return y - LIMIT"), {"nested"}),
    "class that nothing reads": (("main.py", "LATER = object()", "LATER = 1"), set()),
    "library function": (("main.py", "+ math.pi", "+ math.e"), {"constants"}),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_counts_and_for_whom(project: Project, base: Keys, case: str) -> None:
    change, expected = CHANGES[case]
    assert base.changed(project.keys(change)) == expected


def test_a_parameter_hides_the_asset_of_its_name(project: Project, base: Keys) -> None:
    changed = base.changed(project.keys(("main.py", "flights + 1", "flights + 2")))
    assert "shadows" not in changed


def test_swapping_what_reads_one_another_is_a_change(project: Project, base: Keys) -> None:
    keys = project.keys(
        ("main.py", "n == 0 or odd", "n * 0 or odd"),
        ("main.py", "n != 0 and even", "n == 0 or even"),
        ("main.py", "n * 0 or odd", "n != 0 and odd"),
    )
    assert base.changed(keys) == {"even", "odd"}


def test_a_renamed_annotation_is_the_same(project: Project) -> None:
    one = project.keys(("main.py", "config: Config", "config: Config"))
    two = project.keys(
        ("main.py", "class Config", "class Settings"),
        ("main.py", "config: Config", "config: Settings"),
        ("main.py", "Config()", "Settings()"),
    )
    assert one["annotated"] == two["annotated"]


def schema(data_key: str, version: str = "v") -> Schema:
    return Schema("S", (), "open", data_key, version)


def test_schemas_count_by_what_they_do_to_data(base: Keys) -> None:
    function, root = base.main.simple, str(base.root)
    key = code_key(function, root=root, schemas=[schema("a")])
    assert key == code_key(function, root=root, schemas=[schema("a", "other checks")])
    assert key != code_key(function, root=root, schemas=[schema("b")])
    assert key != code_key(function, root=root, schemas=[schema("a"), schema("a")])


def test_a_version_replaces_the_code(base: Keys) -> None:
    root = str(base.root)
    keys = {
        code_key(function, root=root, version=version)
        for function in (base.main.simple, base.main.calls)
        for version in ("1", "2")
    }
    assert len(keys) == 2
    assert code_key(base.main.simple, root=root, version="1", schemas=[schema("a")]) not in keys


def test_the_place_of_a_definition(base: Keys) -> None:
    sys.modules["main"] = base.main
    try:
        line = MAIN.splitlines().index("class Config:") + 1
        assert definition_line(base.main.Config, root=str(base.root)) == Where("main.py", line)
        assert definition_line(Path, root=str(base.root)) is None
    finally:
        del sys.modules["main"]


def test_every_process_and_hash_seed_gives_the_same(base: Keys) -> None:
    script = textwrap.dedent(
        """
        import sys
        root = sys.argv[1]
        sys.path.insert(0, root)
        import main
        from afresh.assets.fingerprint import code_key
        for name in ("plain_data", "handlers", "inherits", "even", "dispatches", "checks"):
            print(name, code_key(getattr(main, name), root=root))
        """
    )
    for seed in ("1", "2"):
        output = subprocess.run(
            [sys.executable, "-B", "-c", script, str(base.root)],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for line in output.splitlines():
            name, _, key = line.partition(" ")
            assert base[name] == key, name
        assert len(output.splitlines()) == 6


def test_forgetting_changes_nothing(base: Keys) -> None:
    sys.modules["main"] = base.main
    try:
        root = str(base.root)
        before = code_key(base.main.inherits, root=root)
        forget()
        assert code_key(base.main.inherits, root=root) == before
    finally:
        del sys.modules["main"]


def test_a_linked_project_is_the_same(base: Keys, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(base.root)
    assert code_key(base.main.constants, root=str(link)) == base["constants"]


def test_a_project_among_libraries_is_a_project(base: Keys, tmp_path: Path) -> None:
    assert base.changed(Project(tmp_path / "site-packages").keys()) == set()


def test_a_long_chain_is_followed(tmp_path: Path) -> None:
    lines = ["def f0(x):\n    return x\n"]
    lines += [f"def f{n}(x):\n    return f{n - 1}(x)\n" for n in range(1, 3000)]
    (tmp_path / "chain_of_calls.py").write_text("".join(lines))
    sys.path.insert(0, str(tmp_path))
    try:
        module = importlib.import_module("chain_of_calls")
        keys = {code_key(getattr(module, f"f{n}"), root=str(tmp_path)) for n in (0, 1500, 2999)}
        assert len(keys) == 3
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["chain_of_calls"]
