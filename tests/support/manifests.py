"""What package.xml declares."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path


def package_xml(folder: Path) -> ElementTree.Element:
    return ElementTree.parse(folder / "package.xml").getroot()
