"""The commands in a text of SQL, told apart as PostgreSQL's own scanner does."""

import re

# Only these, and none of Unicode's, are white space and ends of lines to it.
LETTER = r"[A-Za-z_\x80-\U0010ffff]"
WORD = rf"{LETTER}[A-Za-z_0-9$\x80-\U0010ffff]*+"
COMMENT = r"--[^\n\r]*+"
# Strings with a new line between them are one, and escape alike.
GAP = rf"(?:[ \t\f\v]|{COMMENT})*+[\n\r](?:[ \t\n\r\f\v]|{COMMENT}[\n\r])*+"
PLAIN = r"'(?:[^']|'')*+'"
ESCAPING = rf"'(?:[^'\\]|\\.|'')*+'(?:{GAP}'(?:[^'\\]|\\.|'')*+')*+"
TAG = rf"(?:{LETTER}[A-Za-z_0-9\x80-\U0010ffff]*+)?"
DOLLARS = rf"\$(?P<tag>{TAG})\$.*?\$(?P=tag)\$"
BRACKET = re.compile(r"/\*|\*/")


def _pieces(strings: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?P<comment>{COMMENT})|(?P<bracket>/\*)|(?P<end>;)"
        rf"|[eE]{ESCAPING}|[bBxX]{PLAIN}|[uU]&{PLAIN}|{strings}|\"[^\"]*+\"|{DOLLARS}"
        rf"|{WORD}|\d+|[ \t\n\r\f\v]+|(?P<open>['\"]|\${TAG}\$)|.",
        re.DOTALL | re.ASCII,
    )


# A session may have set standard_conforming_strings to either.
READINGS = _pieces(PLAIN), _pieces(ESCAPING)


def readings(text: str) -> list[list[str]]:
    """Return the commands that a text holds, without their comments, in each way in which it can be read.

    There is none if it is no SQL, two if it depends on what a backslash is to the session.
    """
    ways = READINGS if "\\" in text else READINGS[:1]
    return [commands for each in ways if (commands := _read(text, each)) is not None]


def _read(text: str, pieces: re.Pattern[str]) -> list[str] | None:
    commands, command, at = [], [], 0
    while found := pieces.match(text, at):
        at = found.end()
        if found["bracket"]:
            at = _behind_comment(text, at)
        if not at or found["open"]:
            return None
        if found["end"]:
            commands.append("".join(command))
            command = []
        else:
            command.append(" " if found["comment"] or found["bracket"] else found[0])
    commands.append("".join(command))
    return [each.strip() for each in commands if each.strip()]


def _behind_comment(text: str, at: int) -> int:
    """Return where a comment ends that has begun, and in which others may begin, or 0 if it does not."""
    depth = 1
    while depth and (found := BRACKET.search(text, at)):
        at, depth = found.end(), depth + (1 if found[0] == "/*" else -1)
    return 0 if depth else at
