"""Speed beside the published way of computing the same, on random clouds."""
