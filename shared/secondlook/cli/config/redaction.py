"""Secrets out of settings that are shown: fields named after secrets, and passwords in URLs."""

from __future__ import annotations

import re
from typing import Any

from secondlook.shared.redaction import MASK
from secondlook.shared.redaction import redact as redact_text

_SECRET_NAME = re.compile(r"(?:^|_)(?:password|passwd|secret|token|api_?key)(?:$|_)", re.IGNORECASE)
_NAMES_A_PLACE = ("_file", "_path", "_env")


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
        if _SECRET_NAME.search(name) and not name.lower().endswith(_NAMES_A_PLACE):
            return MASK
        return redact_text(value)
    return value
