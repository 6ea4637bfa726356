"""What lies here is installed by tests/test_third_party.py and tested there, in an environment of its own."""

collect_ignore_glob = ["*"]
