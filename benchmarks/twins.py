"""Hidden tests made unforgeable: each twice, under random names, in random order, with guards that must fail.

Judged code runs inside the test process and can do anything there: patch pytest, answer "equal" to every comparison,
read the expected value from its caller's frame, report success by itself. What it cannot do is know which tests ought
to pass. So each hidden test gets a *twin*, equal but for its expectations, which are changed (`== 5` becomes `== 7`)
or negated. A right solution passes every test and fails every twin; whatever makes tests pass by force makes their
twins pass too.

A twin is only made where "the test passes" implies "its twin fails", whatever the program: no honest one is accused.
So a test that asserts only through helpers or `assertRaises` has none; there, the guards alone stand. And code that can
tell a right expectation from a changed one (by knowing the tests by heart, say) is not stopped by twins at all.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from benchmarks.literals import altered, is_literal, literal
from benchmarks.syntax import parse

_EXPECTING = frozenset(
    {"assertEqual", "assertListEqual", "assertTupleEqual", "assertSetEqual", "assertDictEqual", "assertSequenceEqual",
     "assertMultiLineEqual", "assertCountEqual", "assertAlmostEqual", "assertIs"}
)  # fmt: skip
"""unittest's methods that compare with an expected value."""

_CONTRARY = {
    "assertTrue": "assertFalse",
    "assertFalse": "assertTrue",
    "assertIsNone": "assertIsNotNone",
    "assertIsNotNone": "assertIsNone",
    "assertIsInstance": "assertNotIsInstance",
    "assertNotIsInstance": "assertIsInstance",
    "assertAlmostEqual": "assertNotAlmostEqual",
    "assertNotAlmostEqual": "assertAlmostEqual",
}
"""Methods of which never both pass with the same arguments."""

_OPERATORS: dict[str, tuple[str, type[ast.cmpop]]] = {
    "assertEqual": ("assertFalse", ast.Eq),
    "assertNotEqual": ("assertFalse", ast.NotEq),
    "assertListEqual": ("assertFalse", ast.Eq),
    "assertTupleEqual": ("assertFalse", ast.Eq),
    "assertDictEqual": ("assertTrue", ast.NotEq),
    "assertMultiLineEqual": ("assertTrue", ast.NotEq),
    "assertIs": ("assertFalse", ast.Is),
    "assertIsNot": ("assertFalse", ast.IsNot),
    "assertIn": ("assertFalse", ast.In),
    "assertNotIn": ("assertFalse", ast.NotIn),
    "assertLess": ("assertFalse", ast.Lt),
    "assertLessEqual": ("assertFalse", ast.LtE),
    "assertGreater": ("assertFalse", ast.Gt),
    "assertGreaterEqual": ("assertFalse", ast.GtE),
}
"""How to deny what a method checks, by the very operator it uses: `==` and `!=` of judged objects may both be true."""

_GUARDS = ("assert {left!r} == {right!r}, {nonce!r}",)
"""Tests that must fail, one of each in every module and class that holds tests."""

_CASE_GUARDS = (
    "self.assertEqual({left!r}, {right!r}, {nonce!r})",
    "self.assertTrue({left!r} == {right!r}, {nonce!r})",
    "self.assertIsNone({left!r}, {nonce!r})",
    "with self.assertRaises(ValueError, msg={nonce!r}): str({left!r})",
)
"""The same for a `TestCase`: through unittest's own methods, which judged code might have patched."""

TestFunction = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Key:
    """Which random name stands for what; it never enters a box."""

    tests: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Random name to the module's file and the test's own name."""
    twins: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """The same for the twins: file and name of the test that this is the twin of."""
    guards: Mapping[str, str] = field(default_factory=dict)
    """Random name of a test that must fail, and the text its failure must show."""


def scramble(modules: Mapping[str, str], rng: Random) -> tuple[dict[str, str], Key]:
    """Test modules by file name, rewritten, with the key to read their results.

    `rng` must not be predictable for the judged code: use `random.SystemRandom` for a real grading.
    """
    rewritten: dict[str, str] = {}
    tests: dict[str, tuple[str, str]] = {}
    twins: dict[str, tuple[str, str]] = {}
    guards: dict[str, str] = {}
    for file, source in modules.items():
        scrambler = _Scrambler(file, rng)
        rewritten[file] = scrambler.module(source)
        tests |= scrambler.tests
        twins |= scrambler.twins
        guards |= scrambler.guards
    return rewritten, Key(tests, twins, guards)


class _Scrambler:
    """Rewrites one module and remembers what became what."""

    def __init__(self, file: str, rng: Random) -> None:
        self.file = file
        self.rng = rng
        self.tests: dict[str, tuple[str, str]] = {}
        self.twins: dict[str, tuple[str, str]] = {}
        self.guards: dict[str, str] = {}

    def module(self, source: str) -> str:
        tree = parse(source)
        tree.body = self._body(tree.body, _GUARDS, signature="")
        return ast.unparse(ast.fix_missing_locations(tree)) + "\n"

    def _body(self, body: list[ast.stmt], guards: tuple[str, ...], signature: str) -> list[ast.stmt]:
        """Tests and guards in random order in the place of the last test, everything else where it was."""
        tests: list[ast.stmt] = []
        result: list[ast.stmt] = []
        place = len(body)
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                tests += self._pair(node)
                place = len(result)
                continue
            if isinstance(node, ast.ClassDef) and _has_tests(node):
                is_case = any(ast.unparse(base).endswith("TestCase") for base in node.bases)
                # Class decorators such as `mock.patch` hand further arguments to every method named test…
                node.body = self._body(node.body, _CASE_GUARDS if is_case else _GUARDS, signature="self, *_")
            result.append(node)
        tests += [self._guard(guard, signature) for guard in guards]
        self.rng.shuffle(tests)
        return [*result[:place], *tests, *result[place:]]

    def _pair(self, node: TestFunction) -> list[ast.stmt]:
        original = (self.file, node.name)
        twin = twin_of(node, self.rng)
        node.name = self._name()
        self.tests[node.name] = original
        if twin is None:
            return [node]
        twin.name = self._name()
        self.twins[twin.name] = original
        return [node, twin]

    def _guard(self, template: str, signature: str) -> ast.stmt:
        name, nonce = self._name(), self._hex()
        self.guards[name] = nonce
        line = template.format(left=self._hex(), right=self._hex(), nonce=nonce)
        return parse(f"def {name}({signature}):\n    {line}").body[0]

    def _name(self) -> str:
        return "test_" + self._hex()

    def _hex(self) -> str:
        return f"{self.rng.getrandbits(64):016x}"


def twin_of(test: TestFunction, rng: Random) -> TestFunction | None:
    """A copy of a test that fails wherever the test passes; None if no assertion of it can be turned round surely."""
    twin = copy.deepcopy(test)
    turned = [_turn(statement, twin, rng) for statement in _always_reached(twin.body)]
    return twin if any(turned) else None


def _always_reached(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements that a passing run of the body executes: also those of plain `with` blocks, not those of branches."""
    reached: list[ast.stmt] = []
    for statement in body:
        plain_with = isinstance(statement, ast.With) and "assertRaises" not in ast.unparse(statement.items[0])
        if isinstance(statement, ast.With | ast.For) and (plain_with or _surely_loops(statement)):
            reached += _always_reached(statement.body)
        else:
            reached.append(statement)
    return reached


def _surely_loops(loop: ast.stmt) -> bool:
    """Over a literal or a range of constants: a loop over what judged code returned may be empty."""
    if not isinstance(loop, ast.For) or any(isinstance(part, ast.Continue | ast.Break) for part in ast.walk(loop)):
        return False
    if isinstance(loop.iter, ast.Call) and ast.unparse(loop.iter.func) == "range":
        return all(is_literal(argument) for argument in loop.iter.args)
    return is_literal(loop.iter) and bool(literal(loop.iter))


def _turn(statement: ast.stmt, test: TestFunction, rng: Random) -> bool:
    """Change what an assertion expects, in place; False if this is none, or none that can be turned round."""
    if isinstance(statement, ast.Assert):
        check = statement.test
        if isinstance(check, ast.Constant):
            return False
        if isinstance(check, ast.Compare) and len(check.ops) == 1 and isinstance(check.ops[0], ast.Eq | ast.Is):
            sides = [check.left, *check.comparators]
            if _alter_one(sides, test, rng):
                check.left, check.comparators = sides[0], sides[1:]
                return True
        statement.test = ast.UnaryOp(ast.Not(), check)
        return True
    call = statement.value if isinstance(statement, ast.Expr) else None
    return (
        isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and _turn_call(call, call.func, test, rng)
    )


def _turn_call(call: ast.Call, method: ast.Attribute, test: TestFunction, rng: Random) -> bool:
    """The same for a call of one of unittest's methods."""
    name = method.attr
    exact = name != "assertAlmostEqual" or (len(call.args) == 2 and not call.keywords)
    if name in _EXPECTING and exact and len(call.args) >= 2 and _alter_one(call.args, test, rng):
        return True
    if name in _CONTRARY and call.args:
        method.attr = _CONTRARY[name]
        return True
    if name in _OPERATORS and len(call.args) >= 2:
        method.attr, operator = _OPERATORS[name]
        call.args = [ast.Compare(call.args[0], [operator()], [call.args[1]]), *call.args[2:]]
        return True
    return False


def _alter_one(sides: list[ast.expr], test: TestFunction, rng: Random) -> bool:
    """Replace the literal among two compared expressions, or the literal that a variable among them was set to."""
    for index in (1, 0):
        side = sides[index]
        if is_literal(side):
            sides[index] = altered(side, rng)
            return True
        assigned = _only_assignment(side, test) if isinstance(side, ast.Name) else None
        if assigned is not None:
            assigned.value = altered(assigned.value, rng)
            return True
    return False


def _only_assignment(name: ast.Name, test: TestFunction) -> ast.Assign | None:
    """The statement `name = literal`, if the name is set just there, at the top of the test, and read just once."""
    uses = [node for node in ast.walk(test) if isinstance(node, ast.Name) and node.id == name.id]
    if len(uses) != 2:
        return None
    for statement in test.body:
        if isinstance(statement, ast.Assign) and statement.targets[0] in uses and is_literal(statement.value):
            return statement
    return None


def _has_tests(node: ast.ClassDef) -> bool:
    return any(
        isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and part.name.startswith("test") for part in node.body
    )
