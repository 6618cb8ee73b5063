"""Kinds of scenes: tables, bins, rooms, streets, and what is empty."""
