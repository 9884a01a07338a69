"""What a person subclasses and writes: FlowSpec, decorators, parameters, current."""
