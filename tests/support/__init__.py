"""Servers that the tests need: object stores, AWS, container engines. Import it as ``support``."""
