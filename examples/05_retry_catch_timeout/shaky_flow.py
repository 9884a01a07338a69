"""What can go wrong, and what the flow makes of it."""

import time

from airloom import FlowSpec, catch, current, retry, step, timeout


class ShakyFlow(FlowSpec):
    """Go on although steps fail."""

    @step
    def start(self):
        """Begin."""
        self.items = [4, 0, 2]
        self.next(self.flaky)

    @retry(times=2, minutes_between_retries=0)
    @step
    def flaky(self):
        """Fail in the first attempt."""
        if current.retry_count == 0:
            raise ConnectionError("the network is down")
        self.attempts_needed = current.retry_count + 1
        self.next(self.too_slow)

    @catch(var="slowness", print_exception=False)
    @timeout(seconds=0.2)
    @step
    def too_slow(self):
        """Take too long; the exception becomes the artifact ``slowness``."""
        self.begun = True
        time.sleep(60)
        self.next(self.fan_out)

    @step
    def fan_out(self):
        """Divide by each item. (A step that splits cannot be caught itself.)"""
        self.next(self.divide, foreach="items")

    @catch(var="failure", print_exception=False)
    @step
    def divide(self):
        """Divide by one item; one of them is 0."""
        self.result = None
        self.result = 12 / self.input
        self.next(self.collect)

    @step
    def collect(self, inputs):
        """Tell what went well from what did not."""
        self.results = [branch.result for branch in inputs]
        self.failures = {branch.index: branch.failure.exception for branch in inputs if branch.failure}
        self.merge_artifacts(inputs, include=["attempts_needed", "slowness", "begun"])
        self.next(self.end)

    @step
    def end(self):
        """Print what became of it."""
        print(f"flaky needed {self.attempts_needed} attempts")
        print(f"too_slow was ended: {self.slowness.type}")
        print(f"results {self.results}, failures {self.failures}")


if __name__ == "__main__":
    ShakyFlow()
