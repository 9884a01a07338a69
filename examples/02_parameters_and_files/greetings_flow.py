"""Parameters of several types, a file that travels with the run, and a constant."""

from airloom import FlowSpec, IncludeFile, JSONType, Parameter, current, environment, step


class GreetingsFlow(FlowSpec):
    """Greet everybody whose name stands in a file."""

    # Set in the class: every step reads it, none can change it.
    punctuation = "!"

    names = IncludeFile("names", default="names.txt", help="a name a line")
    greeting = Parameter("greeting", default="hello", help="what is said")
    times = Parameter("times", default=1, help="how often")
    loud = Parameter("loud", default=False, help="in capitals")
    titles = Parameter("titles", type=JSONType, default='{"Grace": "Admiral"}', help="title by name")
    left_out = Parameter("left-out", separator=",", default="", help="names to leave out, by commas")

    @environment(vars={"GREETINGS_STYLE": "friendly"})
    @step
    def start(self):
        """Make the greetings."""
        import os

        self.style = os.environ["GREETINGS_STYLE"]
        wanted = [name for name in self.names.splitlines() if name and name not in self.left_out]
        self.greetings = [self.greet(name) for name in wanted]
        self.next(self.end)

    @step
    def end(self):
        """Say them."""
        for text in self.greetings:
            print(text)
        print(f"{current.flow_name}/{current.run_id} was started by {current.username}")

    def greet(self, name):
        """Greet one person; a method that is no step."""
        full = f"{self.titles[name]} {name}" if name in self.titles else name
        text = f"{' '.join([self.greeting] * self.times)} {full}{self.punctuation}"
        return text.upper() if self.loud else text


if __name__ == "__main__":
    GreetingsFlow()
