from airloom import (
    USER_SKIP_STEP,
    Config,
    FlowMutator,
    FlowSpec,
    Parameter,
    StepMutator,
    UserStepDecorator,
    catch,
    environment,
    retry,
    step,
    user_step_decorator,
)


@user_step_decorator
def traced(step_name, flow, inputs=None, attributes=None):
    flow.trace = [*getattr(flow, "trace", []), f"in {step_name}"]
    yield
    flow.trace = [*flow.trace, f"out {step_name} {sorted(attributes)}"]


@user_step_decorator
def forgiving(step_name, flow, inputs, attributes):
    try:
        yield
    except ZeroDivisionError as error:
        setattr(flow, attributes.get("into", "forgiven"), str(error))


@user_step_decorator
def skipping(step_name, flow, inputs):
    flow.skipped = step_name
    yield USER_SKIP_STEP


@user_step_decorator
def replacing(step_name, flow, inputs):
    def instead(flow):
        flow.replaced = True
        return True

    yield instead


class Others(UserStepDecorator):
    def init(self, items=None):
        self.items = items

    def pre_step(self, step_name, flow, inputs=None):
        flow.others = self.items
        self.skip_step = {"foreach": "others"}


class Counting(UserStepDecorator):
    def pre_step(self, step_name, flow, inputs=None):
        self.count = 0 if inputs is None else len(list(inputs))

    def post_step(self, step_name, flow, exception=None):
        flow.count = self.count
        return exception


class Careful(StepMutator):
    def init(self, times):
        self.times = times

    def pre_mutate(self, mutable_step):
        mutable_step.add_decorator("retry", deco_kwargs={"times": self.times, "minutes_between_retries": 0})
        mutable_step.add_decorator(forgiving, deco_kwargs={"into": "pardoned"})

    def mutate(self, mutable_step):
        mutable_step.add_decorator(f"environment:vars={{\"STEP\": \"{mutable_step.name}\"}}")


class Everywhere(FlowMutator):
    def init(self, name):
        self.name = name

    def pre_mutate(self, mutable_flow):
        value = dict(mutable_flow.configs)["config"]
        mutable_flow.add_parameter("added", Parameter("added", default=value.added))
        mutable_flow.remove_parameter("gone")
        mutable_flow.add_decorator("schedule", deco_kwargs={"cron": "0 0 1 1 *"})
        assert [name for name, _ in mutable_flow.parameters] == ["kept", "added"]

    def mutate(self, mutable_flow):
        for name, one in mutable_flow.steps:
            if name != "skip":
                one.add_decorator(self.name, deco_kwargs={"level": 1})
        mutable_flow.end.remove_decorator("catch")


@Everywhere("traced")
class MutatorsFlow(FlowSpec):
    """Decorators of one's own around steps, and mutators that put them there."""

    config = Config("config", default_value={"added": 5, "times": 1})
    kept = Parameter("kept", default=1)
    gone = Parameter("gone", default=2)

    @step
    def start(self):
        assert not hasattr(self, "gone")
        self.sum = self.kept + self.added
        self.next(self.fail)

    @forgiving
    @Counting
    @step
    def fail(self):
        self.partial = True
        self.never = 1 / 0
        self.next(self.careful)

    @Careful(config.times)
    @step
    def careful(self):
        import os

        self.seen = os.environ["STEP"]
        raise ZeroDivisionError("of a step")
        self.next(self.skip)

    @skipping
    @step
    def skip(self):
        self.ran = True
        self.next(self.replace)

    @replacing
    @step
    def replace(self):
        self.ran = True
        self.next(self.spread)

    @Others(items=["x", "y"])
    @step
    def spread(self):
        self.words = ["a"]
        self.next(self.each, foreach="words")

    @retry(times=1, minutes_between_retries=0)
    @step
    def each(self):
        self.word = self.input
        self.next(self.join)

    @Counting
    @step
    def join(self, inputs):
        self.words = [branch.word for branch in inputs]
        self.traces = [branch.trace[-1] for branch in inputs]
        self.merge_artifacts(inputs, include=["forgiven", "pardoned", "seen", "skipped", "replaced", "sum"])
        self.next(self.end)

    @environment(vars={"LAST": "yes"})
    @catch(var="failure")
    @step
    def end(self):
        assert (self.forgiven, self.pardoned) == ("division by zero", "of a step")
        assert (self.seen, self.skipped, self.replaced, self.sum) == ("careful", "skip", True, 6)
        assert (self.words, self.count) == (["x", "y"], 2)
        assert self.traces == ["out each ['level']"] * 2
        assert not hasattr(self, "ran")


if __name__ == "__main__":
    MutatorsFlow()
