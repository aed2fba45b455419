"""Secrets out of what people read: passwords in URLs, and fields named after secrets."""

from __future__ import annotations

import re
from typing import Any

MASK = "***"

# The password may hold an "@" that nobody escaped, so it reaches to the last "@" before the path.
_USER_INFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<info>[^/?#\s]*)@")
_QUERY = re.compile(
    r"(?P<key>[?&;](?:[a-z_-]*(?:password|passwd|pwd|token|secret|api_?key|auth)[a-z_-]*))="
    r"(?P<value>[^&;#\s]*)",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(r"(?:^|_)(?:password|passwd|secret|token|api_?key)(?:$|_)", re.IGNORECASE)


def redact(name: str, value: Any) -> Any:
    """``value`` without its secrets.

    Args:
        name: the field's own name, without its tables (``"url"``, ``"password"``).
        value: anything that a settings file can hold; lists and tables are walked.
    """
    if isinstance(value, dict):
        return {key: redact(str(key), item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(name, item) for item in value]
    if isinstance(value, str) and value:
        # `token_file`, `password_path` name a place, not the secret itself.
        if _SECRET_NAME.search(name) and not name.lower().endswith(("_file", "_path", "_env")):
            return MASK
        return redact_text(value)
    return value


def redact_text(text: str) -> str:
    """``text`` with the passwords of all URLs in it masked; user names stay."""
    text = _USER_INFO.sub(_mask_user_info, text)
    return _QUERY.sub(lambda match: f"{match['key']}={MASK}", text)


def _mask_user_info(match: re.Match[str]) -> str:
    user, separator, password = match["info"].partition(":")
    if not separator:
        return match[0]
    return f"{match['scheme']}{user}:{MASK if password else ''}@"
