"""From a flow class to a plan, a code package and a DAG file; runs no step."""
