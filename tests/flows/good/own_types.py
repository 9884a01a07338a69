from collections import namedtuple
from dataclasses import dataclass
from enum import Enum
from functools import partial

import numpy as np
from airloom import FlowSpec, step
from helper_of_flows import Point, first_line


class Colour(Enum):
    RED = 1


Pair = namedtuple("Pair", "left right")


@dataclass(frozen=True)
class Model:
    weights: tuple
    name: str = "m"

    def predict(self, x):
        return sum(w * x for w in self.weights)


def double(x):
    return 2 * x


class OwnTypesFlow(FlowSpec):
    """What the flow's own module and the one beside it define: values, functions, lambdas, closures."""

    @step
    def start(self):
        offset = 10
        self.model = Model((1, 2))
        self.point = Point(1, tags=["new"])
        self.colour = Colour.RED
        self.pair = Pair(1, 2)
        self.function = double
        self.helper = first_line
        self.shifted = lambda x: x + offset
        self.half_done = partial(double)
        self.kind = Model
        self.array = np.arange(6, dtype="float32")
        self.raw = b"\x00\xff"
        self.big = 2**80
        self.next(self.use)

    @step
    def use(self):
        assert isinstance(self.model, Model)
        assert self.kind is Model
        assert self.model.predict(2) == 6
        assert isinstance(self.point, Point)
        self.point = self.point.moved(2)
        self.array[0] = 5
        self.results = [self.function(2), self.shifted(1), self.half_done(4), self.helper("a\nb")]
        self.next(self.end)

    @step
    def end(self):
        assert self.point == Point(3, 0, ["new", "moved"])
        assert self.colour is Colour.RED
        assert self.pair.right == 2
        assert self.results == [4, 11, 8, "a"]
        assert self.array.tolist() == [5, 1, 2, 3, 4, 5]


if __name__ == "__main__":
    OwnTypesFlow()
