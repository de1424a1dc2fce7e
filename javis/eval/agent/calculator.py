"""Arithmetic from text, without `eval` and without numbers that take all memory."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable

Number = int | float
_ALLOWED = re.compile(r"[\d+\-*/%().\s]{1,200}")
_LARGEST = 10**15
_MAX_EXPONENT = 64
_TWO: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def calculate(expression: str) -> Number:
    """Its value, whole where it is whole. Raises ValueError for what is no arithmetic."""
    text = expression.replace("×", "*").replace("÷", "/").replace("−", "-").replace("^", "**")
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text).strip()
    if not _ALLOWED.fullmatch(text):
        raise ValueError("only numbers, + - * / % ** and brackets")
    try:
        value = _value(ast.parse(text, mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError("not an expression") from None
    except ZeroDivisionError:
        raise ValueError("division by zero") from None
    except OverflowError:
        raise ValueError("too large a number") from None
    rounded = round(value, 10)
    return int(rounded) if rounded == int(rounded) else rounded


def _value(node: ast.expr) -> Number:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return _bounded(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _value(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow):
            return _power(left, right)
        if type(node.op) in _TWO:
            return _bounded(_TWO[type(node.op)](left, right))
    raise ValueError("not an expression")


def _power(base: Number, exponent: Number) -> Number:
    if abs(exponent) > _MAX_EXPONENT or (base < 0 and exponent != int(exponent)):
        raise ValueError("too large a power")
    return _bounded(base**exponent)


def _bounded(value: Number) -> Number:
    if abs(value) > _LARGEST or not math.isfinite(value):
        raise ValueError("too large a number")
    return value
