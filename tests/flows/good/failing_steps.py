import time

from airloom import FlowSpec, catch, current, retry, step, timeout


class FailingStepsFlow(FlowSpec):
    """Steps that fail once, always, too slowly; each is retried or caught."""

    @step
    def start(self):
        self.kept = [1]
        self.next(self.once, self.always, self.silent, self.slow, self.well)

    @retry(times=2, minutes_between_retries=0)
    @step
    def once(self):
        self.kept.append(current.retry_count)
        if current.retry_count == 0:
            raise ValueError("the first attempt fails")
        self.attempt = current.retry_count
        self.next(self.join)

    @catch(var="problem")
    @retry(times=1, minutes_between_retries=0)
    @step
    def always(self):
        self.partial = f"before the failure of attempt {current.retry_count}"
        raise KeyError("always")
        self.next(self.join)

    @catch(print_exception=False)
    @step
    def silent(self):
        self.partial = "kept"
        raise RuntimeError("nobody hears")
        self.next(self.join)

    @timeout(seconds=1)
    @catch(var="late")
    @step
    def slow(self):
        self.partial = "in time"
        time.sleep(30)
        self.next(self.join)

    @catch(var="problem")
    @step
    def well(self):
        self.partial = "all is well"
        self.next(self.join)

    @step
    def join(self, inputs):
        assert inputs.once.attempt == 1
        assert inputs.once.kept == [1, 1]
        assert inputs.well.problem is None
        assert not hasattr(inputs.silent, "problem")
        assert "always" in str(inputs.always.problem)
        assert inputs.slow.late
        self.partials = [inputs.always.partial, inputs.silent.partial, inputs.slow.partial, inputs.well.partial]
        self.caught = inputs.always.problem.exception
        self.problem_type = inputs.always.problem.type
        self.next(self.end)

    @step
    def end(self):
        assert self.partials[0] == "before the failure of attempt 1"
        assert (self.caught, self.problem_type) == ("'always'", "builtins.KeyError")


if __name__ == "__main__":
    FailingStepsFlow()
