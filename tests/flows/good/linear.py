from airloom import FlowSpec, step


class LinearFlow(FlowSpec):
    """Artifacts go down a line: changed in place, set again, deleted, hidden, passed by."""

    LIMITS = {"low": 1, "high": 9}
    UNIT = "kg"

    @step
    def start(self):
        self.numbers = [1, 2, 3]
        self.nested = {"inner": {"list": []}}
        self.passed_by = "nobody reads this"
        self.only_read = {"a": (1, 2)}
        self.gone = "soon"
        self.comes_back = 1
        self._hidden = "underscore"
        self.nothing = None
        assert self.LIMITS["high"] == 9
        assert self.name == "LinearFlow"
        self.next(self.change)

    @step
    def change(self):
        self.numbers.append(4)
        self.nested["inner"]["list"].append(self._hidden)
        assert self.only_read["a"] == (1, 2)
        del self.gone
        del self.comes_back
        for name in ("LIMITS", "UNIT"):
            try:
                setattr(self, name, 0)
            except AttributeError:
                continue
            raise AssertionError(f"{name} was changed")
        self.next(self.again)

    @step
    def again(self):
        assert self.numbers == [1, 2, 3, 4]
        assert not hasattr(self, "gone")
        assert not hasattr(self, "comes_back")
        self.comes_back = 2
        self.numbers = self.numbers + [5]
        self.index_outside = (self.index, self.input, self.foreach_stack())
        self.next(self.end)

    @step
    def end(self):
        assert self.nested == {"inner": {"list": ["underscore"]}}
        assert (self.comes_back, self.nothing) == (2, None)
        self.total = sum(self.numbers)
        assert self.total == 15


if __name__ == "__main__":
    LinearFlow()
