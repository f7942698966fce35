"""A template's text into nodes (Go, text/template/parse/parse.go): everything that Go refuses at parsing is refused."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator

from otelmon.rules.gotemplate.lex import Piece, Token, pieces
from otelmon.rules.gotemplate.nodes import (
    Action,
    Body,
    Branch,
    Call,
    Command,
    Constant,
    FunctionName,
    Jump,
    Node,
    Operand,
    Path,
    Pipeline,
    Template,
    Text,
)
from otelmon.rules.gotemplate.values import TemplateError, TemplateValue

_KEYWORDS = {"if", "else", "end", "range", "with", "define", "template", "block", "break", "continue"}
_WORDS: dict[str, TemplateValue] = {"true": True, "false": False, "nil": None}
_DEEPEST = 30
_DEEPEST_BLOCKS = 100
_WHOLE = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|[0-9_]+)")


def parse(text: str, *, functions: Container[str], variables: tuple[str, ...] = ()) -> Template:
    """The template in a text. ``variables`` are those that are set before it begins. Raises TemplateError."""
    return _Parser(text, functions, variables).whole()


class _Parser:
    """Bodies, from the pieces of the text in turn."""

    def __init__(self, text: str, functions: Container[str], variables: tuple[str, ...]) -> None:
        self._pieces: Iterator[Piece] = pieces(text)
        self._text = text
        self._functions = functions
        self._scope = ["$", *variables]
        self._defined: dict[str, Body] = {}
        self._loops = 0
        self._depth = 0

    def whole(self) -> Template:
        """The template of the whole text."""
        body, end = self._body(top=True)
        if end is not None:
            raise TemplateError(f"{{{{{end.word}}}}} without anything that it closes", end.offset)
        return Template(body=body, defined=self._defined)

    def _body(self, *, top: bool = False) -> tuple[Body, _Clause | None]:
        """Nodes up to the ``end`` or ``else`` that closes them, or the end of the text."""
        nodes: list[Node] = []
        for piece in self._pieces:
            if piece.tokens is None:
                nodes.append(Text(text=piece.text))
                continue
            clause = _Clause(piece, self)
            match clause.word:
                case "end" | "else":
                    return tuple(nodes), clause
                case "if" | "with" | "range":
                    nodes.append(self._branch(clause))
                case "break" | "continue":
                    clause.finished()
                    if not self._loops:
                        raise TemplateError(f"{{{{{clause.word}}}}} outside of {{{{range}}}}", clause.offset)
                    nodes.append(Jump(kind=clause.word))
                case "template":
                    name = clause.name()
                    given = None if clause.at_end else clause.pipeline()
                    clause.finished()
                    nodes.append(Call(name=name, pipeline=given, offset=clause.offset))
                case "block":
                    nodes.append(self._block(clause))
                case "define":
                    if not top:
                        raise TemplateError("{{define}} can only stand outside of everything else", clause.offset)
                    self._define(clause, clause.name())
                case _:
                    nodes.append(Action(pipeline=clause.pipeline(assigns=True)))
                    clause.finished()
        return tuple(nodes), None

    def _branch(self, clause: _Clause) -> Branch:
        kind, before = clause.word, len(self._scope)
        self._deeper(clause.offset)
        pipeline = clause.pipeline(assigns=True, ranges=kind == "range")
        clause.finished()
        self._loops += kind == "range"
        body, closing = self._body()
        self._loops -= kind == "range"
        otherwise: Body = ()
        if closing is not None and closing.word == "else":
            follows = closing.follows()
            if follows and follows == kind and kind != "range":
                otherwise = (self._branch(closing),)
                self._depth -= 1
                del self._scope[before:]
                return Branch(kind=kind, pipeline=pipeline, body=body, otherwise=otherwise, offset=clause.offset)
            closing.finished()
            otherwise, closing = self._body()
        self._closed(closing, clause)
        self._depth -= 1
        del self._scope[before:]
        return Branch(kind=kind, pipeline=pipeline, body=body, otherwise=otherwise, offset=clause.offset)

    def _closed(self, closing: _Clause | None, opened: _Clause) -> None:
        if closing is None:
            raise TemplateError(f"{{{{{opened.word}}}}} is not closed by {{{{end}}}}", opened.offset)
        if closing.word != "end":
            raise TemplateError("{{else}} cannot stand here", closing.offset)
        closing.finished()

    def _block(self, clause: _Clause) -> Call:
        name = clause.name()
        pipeline = clause.pipeline()
        self._deeper(clause.offset)
        self._define(clause, name)
        self._depth -= 1
        return Call(name=name, pipeline=pipeline, offset=clause.offset)

    def _define(self, clause: _Clause, name: str) -> None:
        clause.finished()
        scope, loops = self._scope, self._loops
        # A template of its own: it sees only what it is given.
        self._scope, self._loops = ["$"], 0
        body, closing = self._body()
        self._closed(closing, clause)
        self._scope, self._loops = scope, loops
        if any(not isinstance(node, Text) or node.text.strip() for node in body) or name not in self._defined:
            self._defined[name] = body

    def _deeper(self, offset: int) -> None:
        self._depth += 1
        if self._depth > _DEEPEST_BLOCKS:
            raise TemplateError(f"more than {_DEEPEST_BLOCKS} blocks inside each other", offset)

    def is_function(self, name: str) -> bool:
        """Whether there is a function of this name."""
        return name in self._functions

    def is_set(self, variable: str) -> bool:
        """Whether a variable is in scope."""
        return variable in self._scope

    def set(self, variables: tuple[str, ...]) -> None:
        """Put variables into the scope."""
        self._scope.extend(variables)

    def known(self) -> str:
        """The variables in scope, for an error."""
        return ", ".join(self._scope[1:]) or "none"


class _Clause:
    """The tokens of one action, read from left to right."""

    def __init__(self, piece: Piece, parser: _Parser) -> None:
        self._tokens = piece.tokens or ()
        self._parser = parser
        self._next = 0
        self._depth = 0
        self.offset = piece.offset
        first = self._peek()
        self.word = first.text if first is not None and first.kind == "word" and first.text in _KEYWORDS else ""
        self._next = int(self.word != "")

    @property
    def at_end(self) -> bool:
        """Whether all was read."""
        return self._next >= len(self._tokens)

    def _peek(self, ahead: int = 0) -> Token | None:
        index = self._next + ahead
        return self._tokens[index] if index < len(self._tokens) else None

    def follows(self) -> str:
        """The ``if`` or ``with`` after an ``else``, which becomes the word; empty where there is none."""
        token = self._peek()
        if token is not None and token.kind == "word" and token.text in ("if", "with"):
            self.word = token.text
            self._next += 1
            return token.text
        return ""

    def finished(self) -> None:
        """Refuse whatever is left."""
        token = self._peek()
        if token is not None:
            raise TemplateError(f"{token.text!r} cannot stand here", token.offset)

    def name(self) -> str:
        """A template's name, quoted."""
        token = self._peek()
        if token is None or token.kind != "string":
            raise TemplateError(f"{{{{{self.word}}}}} needs a name in quotes", token.offset if token else self.offset)
        self._next += 1
        return token.text

    def pipeline(self, *, assigns: bool = False, ranges: bool = False) -> Pipeline:
        """A pipeline, with the variables that it sets."""
        variables, declares = self._variables(two=ranges) if assigns else ((), True)
        if self.at_end:
            missing = f"a value is missing after {self.word}" if self.word else "nothing between {{ and }}"
            raise TemplateError(missing, self.offset)
        commands = [self._command(piped=False)]
        while (token := self._peek()) is not None and token.kind == "pipe":
            self._next += 1
            commands.append(self._command(piped=True))
        if declares:
            self._parser.set(variables)
        return Pipeline(commands=tuple(commands), variables=variables, declares=declares, offset=self.offset)

    def _variables(self, *, two: bool) -> tuple[tuple[str, ...], bool]:
        """``$x :=``, ``$x =`` and, in a range, ``$i, $x :=``."""
        kinds = [token.kind for token in self._tokens[self._next : self._next + 4]]
        count = 0
        if kinds[:1] == ["variable"] and kinds[1:2] in (["declare"], ["assign"]):
            count = 1
        elif kinds[:3] == ["variable", "comma", "variable"] and kinds[3:] in (["declare"], ["assign"]):
            count = 2
        if not count:
            return (), True
        tokens = self._tokens[self._next : self._next + 2 * count]
        if count > 1 and not two:
            raise TemplateError("two variables can be set by range only", tokens[0].offset)
        names = tuple(token.text for token in tokens[::2])
        declares = tokens[-1].kind == "declare"
        for token in tokens[::2]:
            if not declares:
                self._check_set(token)
        self._next += 2 * count
        return names, declares

    def _check_set(self, token: Token) -> None:
        if not self._parser.is_set(token.text):
            raise TemplateError(f"there is no variable {token.text}; set here: {self._parser.known()}", token.offset)

    def _command(self, *, piped: bool) -> Command:
        first = self._peek()
        if first is None or first.kind in ("pipe", "close"):
            raise TemplateError("a value or a function is missing here", first.offset if first else self.offset)
        head = self._operand()
        if piped and not isinstance(head, FunctionName) and not (isinstance(head, Path) and head.names):
            raise TemplateError("only a function can stand after |", first.offset)
        arguments: list[Operand] = []
        while (token := self._peek()) is not None and token.kind not in ("pipe", "close"):
            if not token.spaced:
                raise TemplateError(f"{token.text!r} cannot stand here", token.offset)
            if not isinstance(head, FunctionName) and not (isinstance(head, Path) and head.names):
                raise TemplateError(f"{token.text!r} cannot stand here: only a function takes arguments", token.offset)
            arguments.append(self._operand())
        return Command(head=head, arguments=tuple(arguments), offset=first.offset)

    def _operand(self) -> Operand:
        token = self._tokens[self._next]
        self._next += 1
        match token.kind:
            case "string":
                return self._plain(Constant(value=token.text, offset=token.offset))
            case "character":
                return self._plain(Constant(value=ord(token.text), offset=token.offset))
            case "number":
                return self._plain(Constant(value=_number(token), offset=token.offset))
            case "field":
                names = (token.text[1:],) if len(token.text) > 1 else ()
                return Path(base=None, names=names + self._chain(), offset=token.offset)
            case "variable":
                self._check_set(token)
                return Path(base=token.text, names=self._chain(), offset=token.offset)
            case "open":
                return self._parenthesis(token)
            case "word" if token.text in _WORDS:
                return self._plain(Constant(value=_WORDS[token.text], offset=token.offset))
            case "word" if self._parser.is_function(token.text):
                return FunctionName(name=token.text, offset=token.offset)
            case "word" if token.text not in _KEYWORDS:
                raise TemplateError(f"there is no function {token.text!r}", token.offset)
        raise TemplateError(f"{token.text!r} cannot stand here", token.offset)

    def _plain(self, constant: Constant) -> Constant:
        token = self._peek()
        if token is not None and token.kind == "field" and not token.spaced:
            raise TemplateError(f"{token.text!r} cannot stand here: a constant has no fields", token.offset)
        return constant

    def _chain(self) -> tuple[str, ...]:
        """Fields that follow without a space between."""
        names: list[str] = []
        while (token := self._peek()) is not None and token.kind == "field" and not token.spaced:
            if len(token.text) == 1:
                raise TemplateError("a name is missing after the dot", token.offset)
            names.append(token.text[1:])
            self._next += 1
        return tuple(names)

    def _parenthesis(self, token: Token) -> Path:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise TemplateError(f"more than {_DEEPEST} parentheses inside each other", token.offset)
        pipeline = self.pipeline()
        self._depth -= 1
        closing = self._peek()
        if closing is None or closing.kind != "close":
            raise TemplateError("( is not closed", token.offset)
        self._next += 1
        return Path(base=pipeline, names=self._chain(), offset=token.offset)


def _number(token: Token) -> int | float:
    try:
        if _WHOLE.fullmatch(token.text):
            plain = token.text.replace("_", "")
            octal = re.fullmatch(r"([+-]?)0([0-7]+)", plain)
            return int(octal[1] + "0o" + octal[2], 0) if octal else int(plain, 0)
        return float(token.text)
    except ValueError:
        raise TemplateError(f"{token.text!r} is no number", token.offset) from None
