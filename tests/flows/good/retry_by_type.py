from airloom import FlowSpec, catch, current, retry, step


class NotWorthIt(Exception):
    pass


class RetryByTypeFlow(FlowSpec):
    """Only what @retry names is tried again; a class beside the flow is known by its name, too."""

    @step
    def start(self):
        self.next(self.again, self.at_once)

    @retry(times=2, minutes_between_retries=0, on=(OSError, KeyError))
    @step
    def again(self):
        if current.retry_count == 0:
            raise FileNotFoundError("a kind of OSError")
        self.tries = current.retry_count
        self.next(self.join)

    @catch(var="trouble")
    @retry(times=2, minutes_between_retries=0, on=OSError)
    @step
    def at_once(self):
        self.tries = current.retry_count
        raise NotWorthIt("no other attempt")
        self.next(self.join)

    @step
    def join(self, inputs):
        self.tries = [inputs.again.tries, inputs.at_once.tries]
        self.trouble_type = inputs.at_once.trouble.type
        self.next(self.end)

    @step
    def end(self):
        assert self.tries == [1, 0]
        assert self.trouble_type == "retry_by_type.NotWorthIt"


if __name__ == "__main__":
    RetryByTypeFlow()
