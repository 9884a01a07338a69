from dataclasses import dataclass, field


def first_line(text):
    return text.splitlines()[0]


@dataclass
class Point:
    x: int
    y: int = 0
    tags: list = field(default_factory=list)

    def moved(self, by):
        return Point(self.x + by, self.y, [*self.tags, "moved"])
