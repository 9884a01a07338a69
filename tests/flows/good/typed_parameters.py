from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Literal

import click
from pydantic import BaseModel, Field

from airloom import FlowSpec, Parameter, step


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Layer:
    size: int
    dropout: float = 0.5
    colours: list[Colour] = field(default_factory=list)


@dataclass
class Network:
    name: str
    layers: list[Layer]
    mode: Literal["fast", "exact"] = "fast"
    since: date | None = None
    extra: dict[str, float] = field(default_factory=dict)


class Window(BaseModel):
    first: int = Field(ge=0, le=10)


class Search(BaseModel):
    """Where to look."""

    window: Window


class TypedParametersFlow(FlowSpec):
    """Parameters whose values are dataclasses, pydantic models, enums, choices and dates."""

    network = Parameter("network", type=Network, default=Network("net", [Layer(3), Layer(4, 0.1, [Colour.RED])]))
    other = Parameter("other", type=Network, default='{"name": "o", "layers": [], "since": "2026-11-25"}')
    search = Parameter("search", type=Search, default={"window": {"first": 3}}, help="a model")
    count = Parameter("count", type=Annotated[int, Field(gt=0, lt=100)], default=7)
    colour = Parameter("colour", type=Colour, default="blue")
    favourite = Parameter("favourite", default=Colour.RED)
    mode = Parameter("mode", type=Literal["fast", "exact"], default="exact")
    level = Parameter("level", type=Literal[1, 2], default=2)
    choice = Parameter("choice", type=click.Choice(["a", "b"]), default="a")
    share = Parameter("share", type=click.FloatRange(0, 1), default=0.25)
    day = Parameter("day", type=date, default="2026-11-25")
    moment = Parameter("moment", type=datetime, default=datetime(2026, 11, 25, 6))
    maybe = Parameter("maybe", type=Colour)
    nothing = Parameter("nothing", type=Network)

    @step
    def start(self):
        assert self.network == Network("net", [Layer(3), Layer(4, 0.1, [Colour.RED])])
        assert (self.other.since, self.other.layers) == (date(2026, 11, 25), [])
        assert (self.search.window.first, self.count) == (3, 7)
        assert (self.colour, self.favourite) == (Colour.BLUE, Colour.RED)
        assert (self.mode, self.level, self.choice, self.share) == ("exact", 2, "a", 0.25)
        assert self.day == date(2026, 11, 25)
        assert self.moment.isoformat() == "2026-11-25T06:00:00+00:00"
        assert (self.maybe, self.nothing) == (None, None)
        self.sizes = [layer.size for layer in self.network.layers]
        self.next(self.end)

    @step
    def end(self):
        assert self.sizes == [3, 4]
        self.colours = self.network.layers[1].colours


if __name__ == "__main__":
    TypedParametersFlow()
