"""What is asked: parsed, checked, in the cloud's frame, and which session it goes on with."""
