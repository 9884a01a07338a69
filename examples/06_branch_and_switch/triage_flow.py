"""Branches that run side by side, and a switch that chooses one way."""

from airloom import FlowSpec, Parameter, step


class TriageFlow(FlowSpec):
    """Look at a number from two sides, then treat it as its size asks for."""

    number = Parameter("number", default=1500, help="what is looked at")

    @step
    def start(self):
        """Go two ways at once."""
        self.next(self.count_digits, self.factorise)

    @step
    def count_digits(self):
        """Set an artifact of the first branch."""
        self.digits = len(str(abs(self.number)))
        self.next(self.look)

    @step
    def factorise(self):
        """Set one of the second branch."""
        rest, self.factors = self.number, []
        for candidate in range(2, abs(self.number) + 1):
            while rest % candidate == 0:
                self.factors.append(candidate)
                rest //= candidate
        self.next(self.look)

    @step
    def look(self, inputs):
        """Join: a branch is found by the name of its last step."""
        self.digits = inputs.count_digits.digits
        self.factors = inputs.factorise.factors
        self.size = "big" if self.digits > 3 else "small"
        self.next({"big": self.shorten, "small": self.spell}, condition="size")

    @step
    def shorten(self):
        """Run for big numbers only."""
        self.text = f"about {round(self.number, -3):,}"
        self.next(self.end)

    @step
    def spell(self):
        """Run for small numbers only."""
        self.text = " ".join(str(self.number))
        self.next(self.end)

    @step
    def end(self):
        """Both ways meet here; no join, since only one of them was gone."""
        print(f"{self.size}: {self.text}, factors {self.factors}")


if __name__ == "__main__":
    TriageFlow()
