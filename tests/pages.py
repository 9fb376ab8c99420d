"""What stands in the project's pages."""

import re
from pathlib import Path


def table_of(page: Path, head: str) -> str:
    """The table that begins with this line; nothing where there is none."""
    found = re.search(rf"^{re.escape(head)}\n(\|.*\n)*", page.read_text(), re.MULTILINE)
    return "" if found is None else found[0].rstrip("\n")
