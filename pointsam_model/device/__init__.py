"""The model's device: memory, copies, batches, and work in short steps."""
