"""As much of ClickHouse's SQL as its HTTP interface must understand: where the query ends and an INSERT's data begins.

Works on bytes, because what follows the query may be anything."""

import re

# One token at a time: blanks and comments, quoted things, words and numbers, and any other single byte.
TOKEN = re.compile(rb"""
    (?P<blank> \s+ | --[^\n]* | \#[ !][^\n]* | /\*.*?\*/ )
  | (?P<quoted> '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `(?:[^`\\]|\\.|``)*` )
  | (?P<word> [A-Za-z_0-9\x80-\xff$]+ )
  | (?P<other> . )
""", re.VERBOSE | re.DOTALL)


class SqlError(Exception):
    """An answer ClickHouse would give: its code and its text."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def tokens(sql):
    """(kind, text, start) of everything but blanks and comments; a word is in upper case."""
    for match in TOKEN.finditer(sql):
        if match.lastgroup != "blank":
            yield match.lastgroup, match.group().upper() if match.lastgroup == "word" else match.group(), match.start()


class Insert:
    """An INSERT whose data comes with the request. In `sql`, data_at is where inline data begins."""

    def __init__(self, sql, head, settings, form, data_at):
        self.head, self.settings, self.form, self.data_at = sql[:head], sql[head:settings], form, data_at

    def from_file(self, path):
        """The same INSERT with its data in a file. Inline data would do for text, but the engine takes a blank line for
        its end, and binary data has those."""
        # New lines, since a comment may end each part. `none`: or a file's name would say how it is compressed.
        return b"\n".join([self.head, b"FROM INFILE '%s' COMPRESSION 'none'" % path.encode(), self.settings,
                           b"FORMAT " + self.form]).decode()


def parse_insert(sql):
    """The Insert that sql begins with, or None when it is another query, INSERT ... SELECT among them."""
    found = tokens(sql)
    if next(found, ("", b""))[1] != b"INSERT":
        return None
    depth, named, settings_at, after = 0, False, None, b""
    for kind, text, start in found:
        if text in (b"(", b"["):
            depth += 1
        elif text in (b")", b"]"):
            depth -= 1
        elif kind == "quoted":
            named = True
        elif kind == "word" and depth == 0 and after != b".":
            if not named:  # INTO, TABLE and FUNCTION come before the table's name, which may itself be such a word
                named = text not in (b"INTO", b"TABLE", b"FUNCTION")
            elif text in (b"SELECT", b"WITH", b"FROM", b"WATCH", b"EXPLAIN"):
                return None
            elif text == b"SETTINGS":
                settings_at = start
            elif text == b"VALUES":
                return Insert(sql, settings_at or start, start, b"Values", start + len(text))
            elif text == b"FORMAT":
                name = next(found, ("", b"", 0))
                if name[0] != "word":
                    return None  # the engine says what is wrong with it
                end = name[2] + len(name[1])
                form = sql[name[2]:end]
                if next(found, ("", b""))[1] == b"SETTINGS":
                    raise SqlError(48, "the tests' server takes SETTINGS before FORMAT only. (NOT_IMPLEMENTED)")
                # The rest of the line that FORMAT stands on is not data, if it is empty.
                return Insert(sql, settings_at or start, start, form,
                              re.compile(rb"[ \t\f]*\r?\n?").match(sql, end).end())
        after = text
    return None


def refuse_several(sql):
    """ClickHouse's HTTP interface takes one query; the engine would run them all."""
    ended = False
    if b";" not in sql:
        return
    for _, text, start in tokens(sql):
        if ended and text != b";":
            raise SqlError(62, f"Syntax error (Multi-statements are not allowed): failed at position {start + 1}. "
                               "(SYNTAX_ERROR)")
        ended = ended or text == b";"


def literal(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def identifier(name):
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
