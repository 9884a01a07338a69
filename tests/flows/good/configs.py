from airloom import Config, FlowSpec, Parameter, config_expr, environment, resources, retry, schedule, step
from parsers_of_flows import pairs


def by_config(context):
    return f"{context.flow_name} with {context.configs['config'].model.name}"


@schedule(cron=config_expr("nightly.cron"))
class ConfigsFlow(FlowSpec):
    """Configs in the class body, in expressions, in the cases of a switch and inside of steps."""

    config = Config("config", default="config_of_flows.json")
    nightly = Config("nightly", default_value="cron: 0 0 1 1 *", parser="yaml")
    table = Config("table", default_value="a=1;b=2", parser="parsers_of_flows.pairs")
    again = Config("again", default_value="c=3", parser=pairs)
    raw = Config("raw", default_value="just text", plain=True)
    listed = Config("listed", default_value="[1, 2]", parser="yaml", plain=True)
    absent = Config("absent")

    layers = Parameter("layers", default=config.model.layers[0])
    label = Parameter("label", default=by_config)
    sizes = Parameter("sizes", default=config_expr("[n * 10 for n in config.model.layers]"))

    @environment(vars={"NAME": config.model.name, "SIZE": config_expr("str(config.memory + 1)")})
    @retry(**config_expr("dict(times=config.times, minutes_between_retries=0)"))
    @resources(memory=config.memory)
    @step
    def start(self):
        import os

        assert (os.environ["NAME"], os.environ["SIZE"]) == ("small", "101")
        assert self.config.model.layers == self.config["model"]["layers"] == [3, 4]
        assert (self.layers, self.label, self.sizes) == (3, "ConfigsFlow with small", [30, 40])
        assert (self.table.to_dict(), self.again.c) == ({"a": "1", "b": "2"}, "3")
        assert (self.raw, self.listed, self.absent) == ("just text", [1, 2], None)
        assert isinstance(self.config, dict)
        try:
            self.config.memory = 3
        except TypeError as error:
            self.refused = str(error)
        try:
            setattr(self, "config", {})
        except AttributeError:
            self.changed = False
        self.names = list(self.config.steps)
        self.choice = self.config["key"]
        self.next({self.config.key: self.first, "two": self.second}, condition="choice")

    @step
    def first(self):
        self.next(self.each, foreach="names")

    @step
    def second(self):
        self.next(self.end)

    @step
    def each(self):
        self.size = self.config.model.layers[self.index]
        self.next(self.join)

    @step
    def join(self, inputs):
        self.sizes_seen = [branch.size for branch in inputs]
        self.model = self.config.model.to_dict()
        self.next(self.end)

    @step
    def end(self):
        assert self.sizes_seen == [3, 4]
        self.name_of_model = self.config.model.name


if __name__ == "__main__":
    ConfigsFlow()
