"""What promql-parser (PyPI, a Rust parser of Prometheus's language) reads, in a form to compare trees in."""

import promql_parser as theirs

from otelmon.promql import ast as ours

_CARDINALITY = {
    "OneToOne": ours.Cardinality.ONE_TO_ONE,
    "ManyToOne": ours.Cardinality.MANY_TO_ONE,
    "OneToMany": ours.Cardinality.ONE_TO_MANY,
    "ManyToMany": ours.Cardinality.MANY_TO_MANY,
}
_OPERATORS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


def their_tree(node):
    """Nested tuples of an expression that promql-parser read."""
    match node:
        case theirs.NumberLiteral():
            return ("number", repr(node.val))
        case theirs.StringLiteral():
            return ("string", node.val)
        case theirs.VectorSelector():
            matchers = [(m.name, _OPERATORS[str(m.op).split(".")[1]], m.value) for m in node.matchers.matchers]
            if node.name:
                matchers.append(("__name__", "=", node.name))
            return ("selector", tuple(sorted(matchers)), _their_seconds(node.offset), _their_at(node.at))
        case theirs.MatrixSelector():
            return ("matrix", their_tree(node.vector_selector), _their_seconds(node.range))
        case theirs.SubqueryExpr():
            step = None if node.step is None else _their_seconds(node.step)
            times = (_their_seconds(node.range), step, _their_seconds(node.offset), _their_at(node.at))
            return ("subquery", their_tree(node.expr), *times)
        case theirs.UnaryExpr():
            return ("unary", their_tree(node.expr))
        case theirs.ParenExpr():
            return ("paren", their_tree(node.expr))
        case theirs.Call():
            return ("call", node.func.name, *(their_tree(argument) for argument in node.args))
        case theirs.AggregateExpr():
            without = node.modifier is not None and node.modifier.type == theirs.AggModifierType.Without
            labels = () if node.modifier is None else tuple(sorted(set(node.modifier.labels)))
            parameter = None if node.param is None else their_tree(node.param)
            return ("aggregate", str(node.op), parameter, their_tree(node.expr), without, labels)
        case theirs.BinaryExpr():
            return ("binary", str(node.op), their_tree(node.lhs), their_tree(node.rhs), *_their_modifier(node))
    raise TypeError(type(node))


def _their_modifier(node):
    modifier = node.modifier
    if modifier is None:
        return (False, None)
    if _is_scalar(node.lhs) or _is_scalar(node.rhs):
        return (modifier.return_bool, None)  # promql-parser keeps an empty on(); Prometheus forgets it
    matching = modifier.matching
    on = matching is not None and matching.type == theirs.LabelModifierType.Include
    labels = () if matching is None else tuple(sorted(set(matching.labels)))
    include = tuple(sorted(set(modifier.group_labels or ())))
    cardinality = _CARDINALITY[str(modifier.card).split(".")[1]]
    fills = (modifier.fill_values.lhs, modifier.fill_values.rhs)
    return (modifier.return_bool, _unless_default((cardinality, on, labels, include, *fills)))


def _is_scalar(node):
    match node:
        case theirs.NumberLiteral():
            return True
        case theirs.ParenExpr() | theirs.UnaryExpr():
            return _is_scalar(node.expr)
        case theirs.BinaryExpr():
            return _is_scalar(node.lhs) and _is_scalar(node.rhs)
        case theirs.Call():
            return node.func.return_type == theirs.ValueType.Scalar
    return False


def _unless_default(matching):
    """None for a matching that says nothing: only some of these does promql-parser give a node."""
    one_to_one = matching[0] in {ours.Cardinality.ONE_TO_ONE, ours.Cardinality.MANY_TO_MANY}
    return None if one_to_one and matching[1:] == (False, (), (), None, None) else matching


def _their_seconds(value):
    return 0.0 if value is None else value.total_seconds()


def _their_at(at):
    if at is None:
        return None
    kind = str(at.type).split(".")[1]
    return at.at.timestamp() if kind == "At" else kind.lower()


def our_tree(node):
    """The same nested tuples of a tree of ours."""
    match node:
        case ours.Number():
            return ("number", repr(float(node.value)))
        case ours.String():
            return ("string", node.value)
        case ours.VectorSelector():
            matchers = tuple(sorted((m.name, m.operator.value, m.value) for m in node.matchers))
            return ("selector", matchers, _our_seconds(node.offset), node.at)
        case ours.MatrixSelector():
            return ("matrix", our_tree(node.selector), _our_seconds(node.range))
        case ours.Subquery():
            step = None if node.step is None else _our_seconds(node.step)
            times = (_our_seconds(node.range), step, _our_seconds(node.offset), node.at)
            return ("subquery", our_tree(node.expr), *times)
        case ours.Unary(operator="+"):
            return our_tree(node.expr)  # promql-parser drops the sign; Prometheus keeps the node
        case ours.Unary():
            return ("unary", our_tree(node.expr))
        case ours.Paren():
            return ("paren", our_tree(node.expr))
        case ours.Call():
            return ("call", node.function, *(our_tree(argument) for argument in node.arguments))
        case ours.Aggregate():
            parameter = None if node.parameter is None else our_tree(node.parameter)
            labels = tuple(sorted(set(node.grouping)))
            return ("aggregate", node.operator, parameter, our_tree(node.expr), node.without, labels)
        case ours.Binary():
            matching = node.matching and _unless_default(
                (
                    node.matching.cardinality,
                    node.matching.on,
                    tuple(sorted(set(node.matching.labels))),
                    tuple(sorted(set(node.matching.include))),
                    node.matching.fill_left,
                    node.matching.fill_right,
                )
            )
            sides = our_tree(node.left), our_tree(node.right)
            return ("binary", node.operator, *sides, node.returns_bool, matching)
    raise TypeError(type(node))


def _our_seconds(value):
    return 0.0 if value is None else float(value.value)
