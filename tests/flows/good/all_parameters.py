from airloom import FlowSpec, IncludeFile, JSONType, Parameter, step
from helper_of_flows import first_line


def by_deploy(context):
    return f"{context.flow_name}:{context.parameter_name}"


class AllParametersFlow(FlowSpec):
    """Parameters of every type; none can be changed."""

    whole = Parameter("whole", default=3, help="a whole number")
    ratio = Parameter("ratio", default=0.25, type=float)
    from_int = Parameter("from_int", default=2, type=float)
    text = Parameter("text", default='it\'s "quoted" \\ ünïcode {{ x }}', help="with \"quotes\" and 'quotes'")
    yes = Parameter("yes", default=True)
    no = Parameter("no", type=bool, default=False)
    lr = Parameter("learning-rate", default=1e-3)
    tree = Parameter("tree", type=JSONType, default='{"a": [1, 2.5, null, true], "b": {"c": "d"}}')
    mapping = Parameter("mapping", default={"k": [1]}, type=JSONType)
    words = Parameter("words", default="a;b;;c", separator=";")
    unset = Parameter("unset", type=int)
    unset_text = Parameter("unset_text")
    called = Parameter("called", default=by_deploy)
    needed = Parameter("needed", required=True, default="has one")
    notes = IncludeFile("notes", default="data_of_flows.txt", help="a text file")
    raw = IncludeFile("raw", default="data_of_flows.txt", is_text=False)
    parsed = IncludeFile("parsed", default="data_of_flows.txt", parser=first_line)
    no_file = IncludeFile("no_file")

    @step
    def start(self):
        assert (self.whole, self.ratio, self.lr) == (3, 0.25, 0.001)
        assert type(self.from_int) is float
        assert self.text == "it's \"quoted\" \\ ünïcode {{ x }}"
        assert (self.yes, self.no) == (True, False)
        assert self.tree == {"a": [1, 2.5, None, True], "b": {"c": "d"}}
        assert self.mapping == {"k": [1]}
        assert self.words == ["a", "b", "", "c"]
        assert (self.unset, self.unset_text, self.no_file) == (None, None, None)
        assert self.called == "AllParametersFlow:called"
        assert self.needed == "has one"
        assert self.notes == "first: ä\nsecond\n"
        assert self.raw == "first: ä\nsecond\n".encode()
        assert self.parsed == "first: ä"
        try:
            self.__dict__["x"] = setattr(self, "whole", 4)
        except AttributeError:
            self.changed = False
        self.next(self.a, self.b)

    @step
    def a(self):
        self.next(self.join)

    @step
    def b(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.copies = [self.whole, inputs.a.lr, inputs[1].parsed]
        self.next(self.end)

    @step
    def end(self):
        assert self.copies == [3, 0.001, "first: ä"]


if __name__ == "__main__":
    AllParametersFlow()
