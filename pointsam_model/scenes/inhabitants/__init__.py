"""What stands in rooms and streets: furniture, people, vehicles, buildings."""
