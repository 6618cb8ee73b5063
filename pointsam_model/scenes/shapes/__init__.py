"""What objects are made of, and the small ones that lie on tables."""
