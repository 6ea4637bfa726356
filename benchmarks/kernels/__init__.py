"""How fast the native operations are, and what part of what the machine allows."""
