"""Clouds: decoding of messages, and which clouds are retained and embedded."""
