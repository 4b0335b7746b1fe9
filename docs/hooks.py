"""Links of the docs to files beside them, which a site does not have: it says where they are."""

import re
from typing import Any

_BESIDE = re.compile(r"\[([^\]]*)\]\(\.\./([^)#\s]+)[^)\s]*\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """`[text](../path)` as the text and the path in a clone."""
    return _BESIDE.sub(r"\1 (`\2`)", markdown)
