"""What a mutant changes: the operators of Cosmic Ray, and those that it lacks.

An edit replaces a part of the source text. Lines count from 1 and columns from 0, as in parso.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, Final, NamedTuple

from cosmic_ray.ast import get_ast
from cosmic_ray.operators import (
    binary_operator_replacement,
    boolean_replacer,
    break_continue,
    comparison_operator_replacement,
    exception_replacer,
    number_replacer,
    unary_operator_replacement,
    zero_iteration_for_loop,
)

Place = tuple[int, int]


class Edit(NamedTuple):
    """Text that replaces what is between two places."""

    start: Place
    end: Place
    text: str


# Boundaries and opposites. Other replacements of a comparison say nothing new.
_COMPARISONS: Final = [
    "Lt_LtE",
    "Lt_GtE",
    "LtE_Lt",
    "LtE_Gt",
    "Gt_GtE",
    "Gt_LtE",
    "GtE_Gt",
    "GtE_Lt",
    "Eq_NotEq",
    "NotEq_Eq",
    "Is_IsNot",
    "IsNot_Is",
]
_BINARIES: Final = [
    "Add_Sub",
    "Sub_Add",
    "Mul_FloorDiv",
    "Div_Mul",
    "FloorDiv_Mul",
    "Mod_Mul",
    "Pow_Mul",
    "RShift_LShift",
    "LShift_RShift",
    "BitOr_BitAnd",
    "BitAnd_BitOr",
]


def _named(module: Any, prefix: str, names: Iterable[str]) -> list[Any]:
    return [getattr(module, f"{prefix}_{name}")() for name in names]


class _ExceptionReplacer(exception_replacer.ExceptionReplacer):  # type: ignore[misc]  # the library has no types
    """The library's operator, except for names such as `socket.gaierror`, on which it fails."""

    @staticmethod
    def _name_nodes(node: Any) -> tuple[Any, ...]:
        found = exception_replacer.ExceptionReplacer._name_nodes(node)
        return tuple(each for each in found if each.type == "name")


_LIBRARY: Final[list[Any]] = [
    *_named(comparison_operator_replacement, "ReplaceComparisonOperator", _COMPARISONS),
    *_named(binary_operator_replacement, "ReplaceBinaryOperator", _BINARIES),
    *_named(unary_operator_replacement, "ReplaceUnaryOperator", ["Delete_Not", "Delete_USub"]),
    number_replacer.NumberReplacer(),
    boolean_replacer.ReplaceTrueWithFalse(),
    boolean_replacer.ReplaceFalseWithTrue(),
    boolean_replacer.ReplaceAndWithOr(),
    boolean_replacer.ReplaceOrWithAnd(),
    break_continue.ReplaceBreakWithContinue(),
    break_continue.ReplaceContinueWithBreak(),
    _ExceptionReplacer(),
    zero_iteration_for_loop.ZeroIterationForLoop(),
]

_CALLS: Final = {"min": "max", "max": "min", "any": "all", "all": "any", "ceil": "floor", "floor": "ceil"}
_METHODS: Final = {
    "append": "appendleft",
    "appendleft": "append",
    "endswith": "startswith",
    "find": "rfind",
    "lower": "upper",
    "lstrip": "rstrip",
    "partition": "rpartition",
    "popleft": "pop",
    "removeprefix": "removesuffix",
    "removesuffix": "removeprefix",
    "rfind": "find",
    "rpartition": "partition",
    "rstrip": "lstrip",
    "startswith": "endswith",
}
# These exist on too few types.
_ONLY_DEQUES: Final = {"append", "appendleft", "popleft"}
_CONSTANTS: Final = {"True", "False", "None"}
_OPPOSITES: Final = {"comparison", "not_test"}


def edits(source: str, *, strings: bool = False) -> Iterator[Edit]:
    """Yields all edits of `source`; those of strings only on request. Some may be no valid Python."""
    for node in _nodes(get_ast(source)):
        for operator in _LIBRARY:
            for index, _ in enumerate(list(operator.mutation_positions(node))):
                yield Edit(node.start_pos, node.end_pos, _mutated(operator, node, index))
        for own in _OWN:
            yield from own(node)
        if strings and node.type == "string" and node.parent.type != "simple_stmt":
            quote = re.search("[\"']", node.value)
            assert quote
            at = quote.start() + 1
            yield Edit(node.start_pos, node.end_pos, f"{node.value[:at]}XX{node.value[at:]}")


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in list(getattr(node, "children", ())):
        yield from _nodes(child)


def _mutated(operator: Any, node: Any, index: int) -> str:
    """Returns the text of a mutated node, and restores the node."""
    children = list(getattr(node, "children", ()))
    values = [(leaf, leaf.value) for leaf in (node, *children) if hasattr(leaf, "value")]
    nested = [(leaf, leaf.value) for child in children for leaf in _leaves(child)]
    text: str = operator.mutate(node, index).get_code(include_prefix=False).strip()
    if children:
        node.children[:] = children
    for leaf, value in (*values, *nested):
        leaf.value = value
    return text


def _leaves(node: Any) -> Iterator[Any]:
    for each in _nodes(node):
        if hasattr(each, "value"):
            yield each


def _replaced(node: Any, text: str) -> Edit:
    return Edit(node.start_pos, node.end_pos, text)


def _code(node: Any) -> str:
    text: str = node.get_code(include_prefix=False)
    return text


def _negated(node: Any) -> Iterator[Edit]:
    """A condition, unless its comparison or its `not` already has an opposite."""
    if node.type in {"if_stmt", "while_stmt"}:
        tests = [
            node.children[place + 1] for place, each in enumerate(node.children) if _code(each) in _HEADS
        ]
    elif node.type == "test":
        tests = [node.children[2]]
    elif node.type == "comp_if":
        tests = [node.children[1]]
    else:
        return
    for test in tests:
        if test.type not in _OPPOSITES:
            yield _replaced(test, f"not ({_code(test)})")


_HEADS: Final = {"if", "elif", "while"}


def _membership(node: Any) -> Iterator[Edit]:
    if node.type == "comparison":
        for each in node.children[1::2]:
            words = _code(each).split()
            if words in (["in"], ["not", "in"]):
                yield _replaced(each, "in" if len(words) == 2 else "not in")


def _return_none(node: Any) -> Iterator[Edit]:
    if node.type == "return_stmt" and _code(node.children[1]) not in _CONSTANTS:
        yield _replaced(node, "return None")


def _removed(node: Any) -> Iterator[Edit]:
    """A statement with an effect: a call, a change of something that exists, or a jump."""
    if node.type != "simple_stmt":
        return
    statement = node.children[0]
    if (
        statement.type in {"raise_stmt", "del_stmt", "continue_stmt", "break_stmt"}
        or (statement.type == "keyword" and statement.value in {"raise", "continue", "break"})
        or (statement.type in {"atom_expr", "await"} and not _code(statement).startswith("log."))
    ):
        yield _replaced(statement, "pass")
    elif statement.type == "expr_stmt":
        target, how, *_ = statement.children
        augmented = getattr(how, "value", "=") != "="
        if augmented or (target.type == "atom_expr" and how.type != "annassign"):
            yield _replaced(statement, "pass")


def _swapped(node: Any) -> Iterator[Edit]:
    """The call of a function or method whose opposite takes the same arguments."""
    if node.type not in {"atom_expr", "trailer"} and not _is_key(node):
        return
    if _is_key(node):
        yield _replaced(node, _CALLS[node.value])
        return
    for place, child in enumerate(node.children[:-1]):
        after = node.children[place + 1]
        called = after.type == "trailer" and _code(after).startswith("(")
        if not called:
            continue
        name = child.children[1] if child.type == "trailer" and _code(child).startswith(".") else child
        if name.type != "name":
            continue
        if (name is child and name.value in _CALLS) or (
            name is not child and name.value in (_CALLS.keys() & {"ceil", "floor"})
        ):
            yield _replaced(name, _CALLS[name.value])
        elif name is not child and name.value in _METHODS and name.value not in _ONLY_DEQUES:
            yield _replaced(name, _METHODS[name.value])


def _is_key(node: Any) -> bool:
    """`key=min`, `default=max`: the function as an argument."""
    return (
        node.type == "name"
        and node.value in _CALLS
        and node.parent.type == "argument"
        and node.parent.children[-1] is node
    )


def _bytes(node: Any) -> Iterator[Edit]:
    """len(text.encode()) counts bytes; len(text) counts characters."""
    if node.type == "atom_expr" and (match := re.fullmatch(r"len\((.+)\.encode\([^()]*\)\)", _code(node))):
        yield _replaced(node, f"len({match[1]})")


def _entries(node: Any) -> Iterator[Edit]:
    """An entry of a dictionary, or an item of a constant: a state that a table lists, a column that is reset."""
    if node.type not in {"dictorsetmaker", "testlist_comp"}:
        return
    children = node.children
    if any(child.type in {"comp_for", "sync_comp_for"} for child in children):
        return
    mapping = any(_code(child) in {":", "**"} for child in children)
    if not mapping and (_function(node) is not None or children[0].type in {"string", "number"}):
        return
    commas = [place for place, child in enumerate(children) if _code(child) == ","]
    bounds = [-1, *commas, len(children)] if not commas or commas[-1] != len(children) - 1 else [-1, *commas]
    if len(bounds) < 3:
        return
    for left, right in pairwise(bounds):
        # With the comma after the item, or before the last one.
        first, last = (
            (left + 1, min(right, len(children) - 1)) if right < len(children) else (left, right - 1)
        )
        yield Edit(children[first].start_pos, children[last].end_pos, "")


def _function(node: Any) -> Any:
    """Returns the function that contains `node`, None at the level of a module or class."""
    while node is not None and node.type not in {"funcdef", "lambdef"}:
        node = node.parent
    return node


_OWN: Final[tuple[Callable[[Any], Iterator[Edit]], ...]] = (
    _negated,
    _membership,
    _return_none,
    _removed,
    _swapped,
    _bytes,
    _entries,
)
