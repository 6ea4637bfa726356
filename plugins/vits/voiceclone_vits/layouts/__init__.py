"""One module a way in which VITS checkpoints are laid out on disk; each turns it into a :class:`Checkpoint`."""
