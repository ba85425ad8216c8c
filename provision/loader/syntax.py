"""What the YAML parser says, in words that help."""

import re

import yaml

from provision.diagnostics import source_lines

_RULES: tuple[tuple[str, str, str, bool], ...] = (
    # what the parser says (libyaml, then PyYAML's own), summary, fix, whether the place is where the construct began
    (
        r"mapping values are not allowed",
        "a ':' that cannot stand here",
        "quote the value when it contains ': ', and check the indentation of this line and the one above",
        False,
    ),
    (
        r"could not find expected ':'",
        "this line is neither 'key: value' nor a list item",
        "add the ':' after the key, or quote the text above it",
        True,
    ),
    (
        r"block sequence entries are not allowed|sequence entries are not allowed",
        "a list item that cannot stand here",
        "put '- ' on a line of its own, indented below its key",
        False,
    ),
    (
        r"did not find expected '-' indicator|expected <block end>, but found '<block mapping start>'",
        "the indentation does not fit the list above",
        "give every '- ' of one list the same indentation",
        False,
    ),
    (
        r"did not find expected key|expected <block end>",
        "the indentation does not fit the lines above",
        "give all keys of one map the same indentation, in spaces",
        False,
    ),
    (
        r"did not find expected ',' or '\]'|expected ',' or '\]'",
        "the list that begins with '[' here is not finished",
        "separate its items with ',' and close it with ']'",
        True,
    ),
    (
        r"did not find expected ',' or '\}'|expected ',' or '\}'",
        "the map that begins with '{' here is not finished",
        "separate its entries with ',' and close it with '}'; quote a value that contains '{'",
        True,
    ),
    (
        r"found unexpected end of stream|found unexpected document indicator",
        "the quoted text that begins here is never closed",
        "close the quote",
        True,
    ),
    (
        r"unknown escape character|did not find expected hexdecimal|expected escape sequence",
        "'\\' begins an escape here, and this one does not exist",
        "write '\\\\', or use single quotes, in which '\\' is an ordinary character",
        False,
    ),
    (
        r"alphabetic or numeric character",
        "'*' and '&' begin an alias or an anchor here, and no name follows",
        "quote a value that begins with '*' or '&'",
        False,
    ),
    (
        r"while scanning a block scalar|did not find expected comment or line break|found a tab character where",
        "the text that begins with '|' or '>' is not indented as it must be",
        "begin the text on the next line, indented with spaces",
        False,
    ),
    (
        r"expected <document start>|expected the node content|did not find expected node content",
        "a value was expected here",
        "write the value, or quote it when it begins with a special character",
        False,
    ),
    (r"tag|directive", "tags and directives are not used in stack files", "remove it", False),
)

_SPECIAL = {"@": "'@'", "`": "'`'", "%": "'%'"}


def explain(error: yaml.MarkedYAMLError, text: str) -> tuple[str, str, int, int]:
    """Put a parser's error into words.

    Returns:
        Summary, fix, and line and column from 0.
    """
    problem = error.problem or str(error)
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    if "cannot start any token" in problem:
        return _bad_start(text, line, column)
    for pattern, summary, fix, began in _RULES:
        if re.search(pattern, problem):
            if began and error.context_mark:
                line, column = error.context_mark.line, error.context_mark.column
                bare = _bare_expression(text, error.problem_mark)
                if bare:
                    return bare
            elif tab := _tab(text, line):
                return tab
            return summary, fix, line, column
    return f"this is not YAML: {problem}", "mend the line, or quote its value", line, column


def _bad_start(text: str, line: int, column: int) -> tuple[str, str, int, int]:
    tab = _tab(text, line)
    if tab:
        return tab
    lines = source_lines(text)
    found = lines[line][column : column + 1] if line < len(lines) else ""
    shown = _SPECIAL.get(found, f"'{found}'")
    return f"a value cannot begin with {shown}", "quote the value", line, column


def _tab(text: str, line: int) -> tuple[str, str, int, int] | None:
    lines = source_lines(text)
    if line >= len(lines):
        return None
    indent = re.match(r"[ \t]*", lines[line])
    column = lines[line].find("\t", 0, indent.end() if indent else 0)
    if column < 0:
        return None
    return "a tab in the indentation", "indent with spaces", line, column


def _bare_expression(text: str, mark: yaml.Mark | None) -> tuple[str, str, int, int] | None:
    """An unquoted `${…}` inside `[…]` or `{…}`, where its braces are YAML's."""
    lines = source_lines(text)
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    found = re.search(r"\$\{[^}]*\}", line)
    if mark is None or found is None or not found.start() <= mark.column <= found.end():
        return None
    return (
        f"'{found[0]}' must be quoted inside '[…]' and '{{…}}'",
        f'write "{found[0]}" with its quotes',
        mark.line,
        found.start(),
    )
