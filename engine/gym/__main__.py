"""Lists the datasets of reasoning-gym, or shows one: its parameters with their defaults, and an example.

python -m engine.gym [NAME]
"""

import sys
from random import Random

from engine.gym.entries import draw
from engine.gym.package import GymError, parameters
from engine.gym.served import NOT_SERVED, SERVED
from engine.terminal import printable


def list_all() -> None:
    print(f"{len(SERVED)} datasets serve:\n")
    print("\n".join(f"  {name}" for name in SERVED))
    print(f"\n{len(NOT_SERVED)} do not:\n")
    print("\n".join(f"  {name}: {reason}" for name, reason in NOT_SERVED.items()))


def show(dataset: str) -> None:
    """Raises GymError where there is no such dataset."""
    known, how = parameters(dataset), SERVED[dataset]
    entry = draw(dataset, "{}", Random(0))
    print("\n".join([f"{dataset}\n", *(f"  {name}: {value!r}" for name, value in known.items())]))
    if how.only_answer or how.form:
        passes = (
            "only the dataset's own answer passes" if how.only_answer else f"a reply must match {how.form}"
        )
        print(f"\n{passes}, because in the scorer {how.why}")
    print(f"\n{printable(entry.question)}\n\nanswer: {printable(entry.answer)}")


if __name__ == "__main__":
    try:
        show(sys.argv[1]) if len(sys.argv) > 1 else list_all()
    except GymError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
