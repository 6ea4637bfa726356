"""How fast the native operations are: against their peers in the same run, and against what the machine allows.

A module `X.py` here measures one op. Its function `rows(timer)` yields what `timer.compare(...)` returns, and
`python -m benchmarks.kernels` finds it by itself. `timer.py` says what can be compared.
"""
