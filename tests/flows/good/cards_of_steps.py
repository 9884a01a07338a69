from airloom import FlowSpec, Parameter, card, catch, current, retry, step
from airloom.cards import Artifact, Error, Markdown, ProgressBar, Table, ValueBox, VegaChart


class CardsOfStepsFlow(FlowSpec):
    """Cards of every kind, on steps that go well, fail, are tried again and lie in a foreach."""

    rows = Parameter("rows", default=3)

    @card
    @card(type="blank", id="plots", refresh_interval=0)
    @step
    def start(self):
        """Count, and show how it went."""
        bar = ProgressBar(max=self.rows, label="rows")
        current.card.append(Markdown("# Rows"))
        current.card.append(bar, id="bar")
        for row in range(self.rows):
            current.card.components["bar"].update(row + 1)
            current.card.refresh()
        current.card["plots"].append(
            VegaChart(
                {
                    "mark": "bar",
                    "data": {"values": [{"row": row, "square": row * row} for row in range(self.rows)]},
                    "encoding": {
                        "x": {"field": "row", "type": "ordinal"},
                        "y": {"field": "square", "type": "quantitative"},
                    },
                }
            )
        )
        current.card["plots"].refresh()
        self.on_it = current.card.components.keys()
        self.items = ["a", "b"]
        self.next(self.each, foreach="items")

    @card(type="blank")
    @step
    def each(self):
        current.card.extend([ValueBox("item", self.input), Artifact(self.index, "index")])
        self.shown = len(current.card.components)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.merge_artifacts(inputs, include=["on_it"])
        self.had_cards = "card" in current
        self.shown = [i.shown for i in inputs]
        self.next(self.again)

    @retry(times=1, minutes_between_retries=0)
    @card
    @step
    def again(self):
        current.card.append(Table([[current.retry_count]], headers=["attempt"]))
        if current.retry_count == 0:
            raise ValueError("the first attempt fails </script>")
        self.next(self.caught)

    @catch(print_exception=False)
    @card
    @step
    def caught(self):
        current.card.append(Error("before the failure"))
        raise RuntimeError("it is caught")
        self.next(self.end)

    @step
    def end(self):
        assert self.on_it[1] == "bar"
        assert self.shown == [2, 2]
        assert self.had_cards is False


if __name__ == "__main__":
    CardsOfStepsFlow()
