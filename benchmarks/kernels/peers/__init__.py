"""What the operations are compared with, where it must be built or written first."""
