"""Losses and optimisers of GPT-SoVITS as upstream trains it."""
