"""YAML's text to a tree of nodes, each with its place, by PyYAML's parser or, in a twentieth of the time, by libyaml's.

PyYAML's decides what is read and what an error says. libyaml's reads first, and counts only where both are known to
read alike; a text that it refuses, or that the two might read differently, is read by PyYAML's as if there were no
other.
"""

import re
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from gateway.config.errors import ConfigError, Position

MOST_DEPTH = 32

_READ_DIFFERENTLY = re.compile(r"[\t\ufeff]|(?<!\w)!|[|>][-+0-9]{0,2}#")
"""Tabs between tokens, byte order marks beyond the first, the tag `!`, and a comment glued to a block's header."""


class _TooDeepError(yaml.MarkedYAMLError):
    """Nested beyond what any configuration needs."""


class _UncertainError(Exception):
    """The two parsers may read this differently, or place it differently."""


class _Resolver(BaseResolver):
    """No tag is resolved: a tag that is not in the file only says whether a scalar bears quotes. Bounds the depth."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """Only called where the file gives no tag: `plain` where a scalar bears no quotes."""
        del value
        return "plain" if kind is yaml.ScalarNode and implicit[0] else "untagged"

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        """Called before each node. PyYAML leaves the depth to Python's stack, libyaml to that of C."""
        del current_node, current_index
        self._depth += 1
        if self._depth > MOST_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[attr-defined]  # of the parser beside this class
            raise _TooDeepError(None, None, f"nested more than {MOST_DEPTH} deep", mark)

    def ascend_resolver(self) -> None:
        """Called after each node."""
        self._depth -= 1


class _Loader(Reader, Scanner, Parser, Composer, _Resolver):
    """PyYAML's reading down to nodes. No constructor: nothing of ours is built by a tag."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        _Resolver.__init__(self)


if yaml.__with_libyaml__:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs do not say that it stands there

    class _QuickLoader(CParser, _Resolver):
        """The same by libyaml."""

        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            _Resolver.__init__(self)

        def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
            """As above. What is left out has its place elsewhere, and `?` within braces ends a word for PyYAML."""
            tag = super().resolve(kind, value, implicit)
            if tag == "plain" and (not value or "?" in value):
                raise _UncertainError
            return tag


def compose(text: str, file: str, *, with_libyaml: bool = yaml.__with_libyaml__) -> yaml.Node | ConfigError:
    """The root of a text's one document. Scalars and collections without a tag of their own have `plain` or `untagged`.

    Args:
        text: the file's text.
        file: what errors call it.
        with_libyaml: False where PyYAML was built without it; what is returned is the same.
    """
    return (_composed_by_libyaml(text) if with_libyaml else None) or _composed(text, file)


def _composed_by_libyaml(text: str) -> yaml.Node | None:
    if _READ_DIFFERENTLY.search(text):
        return None
    try:
        node: yaml.Node | None = _QuickLoader(text).get_single_node()
    except (yaml.YAMLError, _UncertainError, UnicodeEncodeError):
        return None
    # Where yaml was imported a second time, libyaml still makes the first one's nodes, which nobody here knows.
    return node if isinstance(node, yaml.Node) else None


def _composed(text: str, file: str) -> yaml.Node | ConfigError:
    try:
        loader = _Loader(text)
    except ReaderError as error:
        place = position(text[: error.position])
        shown = f"U+{error.character:04X}" if isinstance(error.character, int) else "a byte"
        return ConfigError(file, place.line, place.column, "", f"control character {shown}: remove it")
    try:
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        place = marked(error.problem_mark or error.context_mark)
        return ConfigError(file, place.line, place.column, "", _syntax(error))
    except (ValueError, OverflowError):
        # PyYAML turns `\U00110000` and the digits of %YAML into numbers without a check.
        place = marked(loader.get_mark())
        return ConfigError(file, place.line, place.column, "", "an escape or number here is outside what YAML allows")
    if root is None:
        return ConfigError(file, 1, 1, "", "the file is empty")
    return root


def _syntax(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "cannot be read as YAML"
    if "'\\t'" in problem:
        return "a tab cannot indent or start a value: use spaces"
    if "but found another document" in problem:
        return "a second document starts here: keep one document in a file, without `---` between parts"
    if "could not determine a constructor" in problem or "tag handle" in problem:
        return "tags are not read: remove it"
    if isinstance(error, _TooDeepError):
        return problem
    return f"not YAML: {problem}" + (f" {error.context}" if error.context else "")


def position(before: str) -> Position:
    """The place behind a text."""
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", before)
    return Position(len(lines), len(lines[-1]) + 1)


def marked(mark: yaml.Mark | None) -> Position:
    """The place of a mark."""
    return Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
