"""One module a family of cases; each registers its checkers with ``@checks``, and every module here is found."""
