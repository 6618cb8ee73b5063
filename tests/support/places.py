"""Where tests find things."""

from pathlib import Path

SUPPORT = Path(__file__).parent
ROOT = SUPPORT.parents[1]  # of the repository
FIXTURES = SUPPORT.parent / "fixtures"
TINY = FIXTURES / "tiny"  # random weights: quick, and masks of some kind
SHARED = ROOT.parent / "shared"  # real clouds; tests of them skip where it is absent
