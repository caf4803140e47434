"""What the engine refuses."""

from collections.abc import Mapping


class EngineError(Exception):
    """Anything that the rules of dataflow don't allow."""


class InputsInvalidError(EngineError):
    """The inputs of a node execution can't be used; `problems` maps each pin to what is wrong with it."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{pin}: {problem}" for pin, problem in problems.items()))
        self.problems = dict(problems)
