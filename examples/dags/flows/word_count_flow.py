"""A flow for the DAGs of this folder: the words of a text are counted, each for itself."""

from airloom import FlowSpec, Parameter, step


class WordCountFlow(FlowSpec):
    """Count the words of a text."""

    text = Parameter("text", required=True, help="words, with spaces between them")
    least = Parameter("least", default=1, help="letters that a word must have to count")

    @step
    def start(self):
        """Take the text apart."""
        self.words = sorted({word for word in self.text.split() if len(word) >= self.least})
        self.next(self.count, foreach="words")

    @step
    def count(self):
        """Count one word."""
        self.word, self.number = self.input, self.text.split().count(self.input)
        self.next(self.join)

    @step
    def join(self, inputs):
        """Put the counts together."""
        self.counts = {branch.word: branch.number for branch in inputs}
        self.next(self.end)

    @step
    def end(self):
        """Find the longest word."""
        self.longest = max(self.counts, key=len)


if __name__ == "__main__":
    WordCountFlow()
