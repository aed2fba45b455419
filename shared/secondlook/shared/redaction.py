"""Passwords and tokens out of what people read: URLs, pipelines, messages of libraries."""

from __future__ import annotations

import re

MASK = "***"

# Up to the last @, also over slashes: a password that should have been percent-encoded is hidden
# all the same, at the price of hiding too much of a path that holds an @.
_USERINFO = re.compile(r"(?<=://)[^\s\"']*@")
_USERINFO_OF_A_URL = re.compile(r"(?<=://)\S*@")
_SECRET_PARAMETER = re.compile(
    r"(?i)\b((?:[\w-]*(?:pass(?:word|wd)?|pwd|token|secret|api_?key|signature|auth)|user-pw)=)"
    r"([^&\s\"']+)"
)


def redact(text: str) -> str:
    """``text`` with the passwords and tokens of URLs and pipelines in it replaced by ``***``."""
    # In running text a quote ends a URL; in a URL by itself it is part of it.
    pattern = _USERINFO if re.search(r"\s", text) else _USERINFO_OF_A_URL
    return _SECRET_PARAMETER.sub(rf"\1{MASK}", pattern.sub(_hide, text))


def _hide(match: re.Match[str]) -> str:
    user, colon, _ = match.group()[:-1].partition(":")
    return f"{user}:{MASK}@" if colon else f"{MASK}@"
