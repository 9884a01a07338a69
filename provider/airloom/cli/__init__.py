"""The command line: ``airloom ...`` and ``python my_flow.py ...``."""
