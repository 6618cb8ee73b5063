"""How the node endures: malformed clouds, a flood of requests, an hour of a sensor."""
