"""How good answers are, and what training options are worth."""
