"""The corpus generator: speech of free synthesizers whose phone times are exact, written as a training manifest."""
