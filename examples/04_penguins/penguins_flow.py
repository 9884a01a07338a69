"""Body mass of the Palmer penguins, species by species."""

import csv
import io
import math

from airloom import FlowSpec, IncludeFile, Parameter, catch, current, resources, retry, step, timeout


class PenguinsFlow(FlowSpec):
    """How heavy a penguin is, told by the length of its flippers.

    The measurements of 344 penguins are cleaned once; then a straight line is fitted for each
    species, side by side, and the fits are compared.
    """

    table = IncludeFile("table", default="penguins.csv", help="CSV of measurements, a penguin a row")
    min_rows = Parameter("min-rows", default=30, help="species with fewer penguins are left out")

    @step
    def start(self):
        """Read the table; keep the penguins that were measured whole."""
        rows = list(csv.DictReader(io.StringIO(self.table)))
        measured = [row for row in rows if "NA" not in (row["flipper_length_mm"], row["body_mass_g"])]
        self.dropped = len(rows) - len(measured)
        self.penguins = {}
        for row in measured:
            pair = (float(row["flipper_length_mm"]), float(row["body_mass_g"]))
            self.penguins.setdefault(row["species"], []).append(pair)
        self.species = sorted(name for name, pairs in self.penguins.items() if len(pairs) >= self.min_rows)
        print(f"kept {len(measured)} of {len(rows)} penguins, species: {', '.join(self.species)}")
        self.next(self.fit, foreach="species")

    @retry(times=2, minutes_between_retries=0.1)
    @timeout(minutes=5)
    @resources(cpu=1, memory=512)
    @step
    def fit(self):
        """Fit body mass by flipper length for one species, by least squares."""
        pairs = self.penguins[self.input]
        mean_x, mean_y = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
        spread = sum((x - mean_x) ** 2 for x, _ in pairs)
        self.slope = sum((x - mean_x) * (y - mean_y) for x, y in pairs) / spread
        self.intercept = mean_y - self.slope * mean_x
        self.count = len(pairs)
        self.next(self.judge)

    @step
    def judge(self):
        """Say how far the fit is off, in grams."""
        errors = [y - (self.intercept + self.slope * x) for x, y in self.penguins[self.input]]
        self.error_g = math.sqrt(sum(error**2 for error in errors) / len(errors))
        print(f"{self.input}: {self.slope:.1f} g per mm of flipper, off by {self.error_g:.0f} g")
        self.next(self.compare)

    @step
    def compare(self, inputs):
        """Put the species side by side."""
        self.fits = {
            item.input: {
                "g_per_mm": round(item.slope, 1),
                "error_g": round(item.error_g),
                "count": item.count,
            }
            for item in inputs
        }
        self.merge_artifacts(inputs, include=["dropped"])
        self.next(self.end)

    @catch(var="trouble")
    @step
    def end(self):
        """Name the species whose mass the flipper tells best."""
        self.best = min(self.fits, key=lambda name: self.fits[name]["error_g"])
        print(f"run {current.run_id}: the flipper tells the mass of {self.best} best")


if __name__ == "__main__":
    PenguinsFlow()
