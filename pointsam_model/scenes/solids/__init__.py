"""Solids that rays meet."""
