"""The parts of tests/stack/stack. Python's standard library only, but for ch*.py: they run inside the ClickHouse server."""
