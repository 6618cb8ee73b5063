"""From an embedded cloud and prompts to masks, and proposals of all objects."""
