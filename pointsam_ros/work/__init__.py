"""What is done with the model, in turn on its one thread: masks, proposals, tracks."""
