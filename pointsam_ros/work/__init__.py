"""All work with the model, on its single thread: masks, proposals, tracks."""
