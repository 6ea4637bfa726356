"""Help for authors of backends: the tone backend, the conformance kit, and a server for tests."""
