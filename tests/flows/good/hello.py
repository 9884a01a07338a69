from airloom import FlowSpec, step


class HelloFlow(FlowSpec):
    """The smallest flow."""

    @step
    def start(self):
        self.greeting = "hello"
        self.next(self.end)

    @step
    def end(self):
        print(self.greeting)


if __name__ == "__main__":
    HelloFlow()
