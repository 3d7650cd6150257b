"""Which mutants a module has: what Cosmic Ray's operators find in it, as far as it means something for arithmetic."""

import ast
import re
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.ast.ast_query import ASTQuery
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

# Each operator by its inverse and by one of another kind. A bit operator in float code is a TypeError at once, and so
# is a quotient for an index: any test that runs the line sees it.
ARITHMETIC = (
    "Add_Sub", "Add_Mul", "Sub_Add", "Sub_Mul", "Mul_Div", "Mul_Add", "Div_Mul", "Div_Sub",
    "FloorDiv_Mul", "FloorDiv_Sub", "Mod_FloorDiv", "Mod_Sub",
)  # fmt: skip
ORDER = ("Lt", "LtE", "Gt", "GtE")
COMPARISONS = (
    "Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is", *(f"{a}_{b}" for a in ORDER for b in ORDER if a != b),
)  # fmt: skip
OTHERS = (
    "NumberReplacer",  # n - 1 and n + 1
    "ReplaceUnaryOperator_Delete_USub",
    "ReplaceUnaryOperator_Delete_Not",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ZeroIterationForLoop",
)
AUGMENTED = {"+=": ("-=", "="), "-=": ("+=", "="), "*=": ("/=", "="), "/=": ("*=", "=")}

# What is left out: operator, place in the source with ¦ before what would be changed. The README says why.
EXCLUDED = (
    (r".*", r"^[A-Z_]+: Final = "),
    (r"ReplaceTrueWithFalse", r"(njit\(|^options: ).*¦"),
    (r".*", r"os\.name ¦"),
    (r"ReplaceTrueWithFalse", r"strict=¦"),
    (r"ReplaceBinaryOperator_Div_.*", r"^def .*¦/\)"),
    (r"AddNot", r"¦[^:]*(==|!=|<|>|\bis\b)"),
)


class AugmentedAssignment(NamedTuple):
    """The operator that Cosmic Ray lacks: one augmented assignment becomes another, or a plain one."""

    old: str
    new: str

    def mutation_positions(self, node: Any) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        """Where this node can be mutated: (line, column) of begin and end."""
        if node.type == "operator" and node.value == self.old:
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """The mutated node."""
        node.value = self.new
        return node


OPERATORS: dict[str, Any] = {
    name: get_operator(f"core/{name}")()
    for name in (
        *(f"ReplaceBinaryOperator_{pair}" for pair in ARITHMETIC),
        *(f"ReplaceComparisonOperator_{pair}" for pair in COMPARISONS),
        *OTHERS,
    )
} | {f"{old} {new}": AugmentedAssignment(old, new) for old, all_new in AUGMENTED.items() for new in all_new}


class Mutant(NamedTuple):
    """One change of a module: the occurrence-th place where the operator fits."""

    operator: str
    occurrence: int
    line: int  # counted from 1
    function: str  # "module" outside of all functions


def mutants_of(source: str, not_mutated: Collection[str] = ()) -> list[Mutant]:
    """All mutants of a module, line by line, those that are excluded and those of some functions left out."""
    tree, lines, left_out = get_ast(source), source.splitlines(), lines_of(source, not_mutated)
    found = []
    for name, operator in OPERATORS.items():
        positions = ((node, begin) for node in ast_nodes(tree) for begin, _ in operator.mutation_positions(node))
        for occurrence, (node, (line, column)) in enumerate(positions):
            place = f"{lines[line - 1][:column]}¦{lines[line - 1][column:]}"
            if line not in left_out and not any(re.fullmatch(o, name) and re.search(p, place) for o, p in EXCLUDED):
                function = ASTQuery(node).get_definition_name() or "module"
                found.append(Mutant(name, occurrence, line, function))
    return sorted(found, key=lambda mutant: mutant.line)


def lines_of(source: str, functions: Collection[str]) -> set[int]:
    """The lines of these functions, decorators included. Raises KeyError for one that is not there."""
    there = {node.name: node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
    lines: set[int] = set()
    for name in functions:
        node = there[name]
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        lines.update(range(first, (node.end_lineno or node.lineno) + 1))
    return lines


def mutated(source: str, mutant: Mutant) -> str:
    """The module with this change made."""
    changed = mutate_code(source, OPERATORS[mutant.operator], mutant.occurrence)
    assert changed is not None, f"{mutant} is not of this source"
    return str(changed)
