"""Jinja2 templates of the DAG files; `airloom.compiler.dagfile` says what they get."""
