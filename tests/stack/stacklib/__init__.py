"""The parts of tests/stack/stack. Python's standard library only."""
