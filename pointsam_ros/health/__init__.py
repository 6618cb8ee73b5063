"""What the node notices of itself and its clouds, and says in its diagnostics."""
