"""Text for files that people read and edit, and foreign text for a terminal."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["csv_cell", "facts_html", "foreign", "toml_table", "toml_value", "without_secrets"]

_SECRET = re.compile(
    r"token|passw|passphrase|secret|credential|(^|[-_])(key|auth|pwd)$|api_?key", re.IGNORECASE
)
_CREDENTIALS = re.compile(r"://[^/\s:@'\"]+:[^/\s@'\"]+@")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def foreign(text: object, longest: int | None = 200) -> str:
    r"""Text that came from a file as it may be printed: on one line, what would steer a terminal is shown.

    Args:
        text: A name, an attribute, a message.
        longest: Characters to keep, half of them at each end; ``None`` keeps all.

    Example:
        >>> foreign("a\x1b[2Jb\nc"), foreign("epoch-" * 9, 20)
        ('a\\x1b[2Jb\\nc', 'epoch-epo...ch-epoch-')
    """
    whole = str(text)
    if longest is not None and len(whole) > longest:
        half = (longest - 2) // 2
        whole = f"{whole[:half]}...{whole[-half:]}"
    if whole.isprintable():
        return whole
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in whole)


def facts_html(title: str, facts: Mapping[str, Any], text: str = "") -> str:
    """A title with facts below as HTML, for notebooks; whatever stands in them is shown and not obeyed.

    Example:
        >>> facts_html("P", {"n": "<2"})
        '<div><b>P</b><table><tr><th>n</th><td>&lt;2</td></tr></table></div>'
    """
    rows = "".join(
        f"<tr><th>{html.escape(str(name))}</th><td>{html.escape(str(value))}</td></tr>"
        for name, value in facts.items()
    )
    table = f"<table>{rows}</table>" if rows else ""
    return f"<div><b>{html.escape(title)}</b>{f'<p>{html.escape(text)}</p>' if text else ''}{table}</div>"


def without_secrets(text: str, values: Mapping[str, Any]) -> str:
    """A text without the values that are secrets by their names, and without passwords in addresses.

    Args:
        text: A message.
        values: What it may tell of, by name, such as the arguments of a function; mappings in it too.

    Example:
        >>> without_secrets("f(token='abc', n=1) at ftp://me:pw@host", {"token": "abc", "n": 1})
        "f(token='***', n=1) at ftp://***@host"
    """
    todo: list[Mapping[str, Any]] = [values]
    found: set[str] = set()
    while todo:
        for name, value in todo.pop().items():
            if isinstance(value, Mapping):
                todo.append(value)
            elif isinstance(value, str) and value and _SECRET.search(str(name)):
                found |= {value, repr(value)[1:-1]}
    for secret in sorted(found, key=len, reverse=True):
        text = text.replace(secret, "***")
    return _CREDENTIALS.sub("://***@", text)


def csv_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers.

    Example:
        >>> csv_cell("=1+1"), csv_cell("-0.5"), csv_cell("-x"), csv_cell("a")
        ("'=1+1", '-0.5', "'-x", 'a')
    """
    if not text.startswith(("=", "+", "-", "@", "\t", "\r")):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def toml_table(header: str, values: Mapping[str, Any]) -> str:
    """A table of TOML: its header, if it has one, and a line for each entry.

    Example:
        >>> print(toml_table("[[checkpoints]]", {"path": "a.pt", "tags": {"width": 8}}))
        [[checkpoints]]
        path = "a.pt"
        tags = { width = 8 }
    """
    return "\n".join(
        [*([header] if header else []), *(f"{_key(k)} = {toml_value(v)}" for k, v in values.items())]
    )


def toml_value(value: Any) -> str:
    """A value in TOML, on one line; what TOML lacks becomes a text.

    By hand, since tomli-w gives mappings a table of their own: of thousands of checkpoints with tags and
    metrics, each would take three headings instead of a few lines that can be read and edited as one.

    Example:
        >>> toml_value({"a b": [1, 0.5, True], "c": float("nan")})
        '{ "a b" = [1, 0.5, true], c = nan }'
    """
    if isinstance(value, Mapping):
        entries = ", ".join(f"{_key(str(k))} = {toml_value(v)}" for k, v in value.items())
        return f"{{ {entries} }}" if entries else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value))  # nan and inf are TOML too
    # JSON's strings are TOML's, but that TOML wants one more character escaped.
    text = str(value).encode(errors="backslashreplace").decode()  # half a character of UTF-16 is none
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else toml_value(key)
