import numpy as np
from airloom import FlowSpec, JSONType, Parameter, step


class ForeachValuesFlow(FlowSpec):
    """Everything that one iterates over, one foreach after another; each join spreads again."""

    words = Parameter("words", default="ab,cd", separator=",")
    names = Parameter("names", type=JSONType, default=["x", {"deep": True}])

    @step
    def start(self):
        self.seen = {}
        self.table = {"one": 1, "two": 2}
        self.next(self.of_dict, foreach="table")

    @step
    def of_dict(self):
        self.got = (self.index, self.input)
        self.next(self.after_dict)

    @step
    def after_dict(self, inputs):
        self.seen = {"dict": [i.got for i in inputs]}
        self.members = {3}
        self.next(self.of_set, foreach="members")

    @step
    def of_set(self):
        self.got = (self.index, self.input)
        self.next(self.after_set)

    @step
    def after_set(self, inputs):
        self.seen = {**inputs[0].seen, "set": [i.got for i in inputs]}
        self.squares = (n * n for n in range(2))
        self.next(self.of_generator, foreach="squares")

    @step
    def of_generator(self):
        self.got = (self.index, self.input, self.foreach_stack())
        self.next(self.after_generator)

    @step
    def after_generator(self, inputs):
        self.seen = {**inputs[0].seen, "generator": [i.got for i in inputs]}
        self.steps = range(10, 0, -7)
        self.next(self.of_range, foreach="steps")

    @step
    def of_range(self):
        self.got = (self.index, self.input)
        self.next(self.after_range)

    @step
    def after_range(self, inputs):
        self.seen = {**inputs[0].seen, "range": [i.got for i in inputs]}
        self.matrix = np.arange(4.0).reshape(2, 2)
        self.next(self.of_array, foreach="matrix")

    @step
    def of_array(self):
        self.got = (self.index, self.input.tolist())
        self.next(self.after_array)

    @step
    def after_array(self, inputs):
        self.seen = {**inputs[0].seen, "array": [i.got for i in inputs]}
        self.next(self.of_parameter, foreach="words")

    @step
    def of_parameter(self):
        self.got = (self.index, self.input)
        self.next(self.after_parameter)

    @step
    def after_parameter(self, inputs):
        self.seen = {**inputs[0].seen, "parameter": [i.got for i in inputs]}
        self.next(self.of_json, foreach="names")

    @step
    def of_json(self):
        self.got = (self.index, self.input)
        self.next(self.after_json)

    @step
    def after_json(self, inputs):
        self.seen = {**inputs[0].seen, "json": [i.got for i in inputs]}
        self.next(self.end)

    @step
    def end(self):
        assert [number for _, number in self.seen["set"]] == [3]
        assert [pair[:2] for pair in self.seen["generator"]] == [(0, 0), (1, 1)]
        assert self.seen["range"] == [(0, 10), (1, 3)]
        assert self.seen["array"] == [(0, [0.0, 1.0]), (1, [2.0, 3.0])]
        assert self.seen["parameter"] == [(0, "ab"), (1, "cd")]
        assert self.seen["json"] == [(0, "x"), (1, {"deep": True})]
        assert [item for _, item in self.seen["dict"]] == ["one", "two"]


if __name__ == "__main__":
    ForeachValuesFlow()
