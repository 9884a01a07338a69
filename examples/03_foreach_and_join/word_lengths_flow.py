"""A foreach inside of a foreach, with a join for each."""

from airloom import FlowSpec, step


class WordLengthsFlow(FlowSpec):
    """Find the longest word of each text, and of all."""

    @step
    def start(self):
        """Name the texts."""
        self.texts = ["a flow has steps", "every artifact is a version", "weave"]
        self.next(self.split_words, foreach="texts")

    @step
    def split_words(self):
        """Take one text apart; runs once a text."""
        self.words = self.input.split()
        self.next(self.measure, foreach="words")

    @step
    def measure(self):
        """Count the letters of one word; runs once a word of each text."""
        self.word = self.input
        self.length = len(self.word)
        self.place = [frame.index for frame in self.foreach_stack()]
        self.next(self.longest_of_text)

    @step
    def longest_of_text(self, inputs):
        """Join the words of one text; ``inputs`` come in the order of the words."""
        self.longest = max(inputs, key=lambda branch: branch.length).word
        self.lengths = [branch.length for branch in inputs]
        # What the branches agree on is taken over by name; what they differ in is left out.
        self.merge_artifacts(inputs, include=["texts"])
        self.next(self.longest_of_all)

    @step
    def longest_of_all(self, inputs):
        """Join the texts."""
        self.longest_by_text = [branch.longest for branch in inputs]
        self.letters = sum(sum(branch.lengths) for branch in inputs)
        self.merge_artifacts(inputs, include=["texts"])
        self.next(self.end)

    @step
    def end(self):
        """Print the result."""
        self.longest = max(self.longest_by_text, key=len)
        print(f"{self.letters} letters in {len(self.texts)} texts; the longest word is {self.longest!r}")


if __name__ == "__main__":
    WordLengthsFlow()
