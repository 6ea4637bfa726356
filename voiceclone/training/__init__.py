"""Training: manifests, the trainer, checkpoints, and a synthetic corpus to learn from."""
