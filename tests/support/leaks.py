"""Leaks to plant: problems said again verbatim, in part, with other names, and in other words."""

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import NamedTuple

from engine.logic.proofs import number_premises
from engine.records import Problem, Theory


class WordProblem(NamedTuple):
    """A word problem as people write them, and the same again."""

    text: str
    renamed: str
    """With other names, things and numbers."""
    paraphrase: str
    """The same story in other words."""


WORD_PROBLEMS = (
    WordProblem(
        "Hanna picked 36 apples in the orchard on Monday. On Tuesday she picked twice as many apples as "
        "on Monday. She gave 20 of her apples to a neighbour. How many apples does Hanna have left?",
        "Oskar picked 15 plums in the garden on Friday. On Sunday he picked twice as many plums as on "
        "Friday. He gave 7 of his plums to an uncle. How many plums does Oskar have left?",
        "On Monday 36 apples were picked by Hanna in the orchard, and the next day, Tuesday, she gathered"
        " double that number. A neighbour received 20 of the apples. How many apples remain with Hanna?",
    ),
    WordProblem(
        "A bakery sells rolls in bags of 6. Each bag costs $3. A school orders 84 rolls for its summer "
        "party. How much does the school pay for the rolls?",
        "A factory sells screws in boxes of 50. Each box costs $4. A workshop orders 700 screws for its "
        "winter stock. How much does the workshop pay for the screws?",
        "Rolls come in bags of 6 at a bakery, and one bag is sold for $3. For a summer party a school "
        "buys 84 rolls from it. What does the school have to pay for its rolls?",
    ),
    WordProblem(
        "A train leaves the station with 120 passengers. At the first stop 35 people get off and 18 get "
        "on. At the second stop a third of the passengers get off. How many passengers are still on the "
        "train?",
        "A ferry leaves the harbour with 200 tourists. At the first island 60 guests get off and 34 get "
        "on. At the second island a third of the tourists get off. How many tourists are still on the "
        "ferry?",
        "With 120 passengers on board a train departs from the station. 35 people leave it at the first "
        "stop while 18 enter, and at the second stop one third of the passengers leave. How many "
        "passengers does the train still carry?",
    ),
    WordProblem(
        "Paul reads 14 pages of his book every evening. The book has 294 pages, and he has already read "
        "for 9 evenings. How many more evenings does Paul need to finish his book?",
        "Mira paints 3 metres of her fence every morning. The fence has 51 metres, and she has already "
        "painted for 6 mornings. How many more mornings does Mira need to finish her fence?",
        "Each evening Paul gets through 14 pages of a book with 294 pages. After 9 evenings of reading, "
        "how many further evenings will it take Paul until the book is finished?",
    ),
    WordProblem(
        "A farmer has 48 hens. Each hen lays 5 eggs a week. The farmer keeps 30 eggs for his family and "
        "sells the others at $0.25 each. How much money does the farmer earn in a week?",
        "A gardener has 20 bushes. Each bush bears 9 roses a month. The gardener keeps 12 roses for her "
        "sister and sells the others at $1.50 each. How much money does the gardener earn in a month?",
        "The 48 hens of a farmer lay 5 eggs each in a week. He keeps 30 of the eggs for his family, and "
        "every other egg is sold for $0.25. What is the farmer's weekly income from eggs?",
    ),
    WordProblem(
        "Two friends share the cost of a tent that is sold for $180 with a discount of 15 %. Lena pays "
        "$20 more than Tom. How much does Lena pay?",
        "Two brothers share the cost of a canoe that is sold for $640 with a discount of 10 %. Ivan pays "
        "$50 more than Luis. How much does Ivan pay?",
        "The price of a tent is $180, but there is a discount of 15 %. Two friends, Lena and Tom, split "
        "what it costs, and Lena contributes $20 more than Tom does. What is Lena's part?",
    ),
)


def reworded(text: str) -> str:
    """The same words in other case, with other blanks and other punctuation."""
    return "\n\n" + re.sub(r"[.,?](?!\d)", " ;", text.upper()).replace(" ", "  ")


def quoted(text: str, first: int = 4) -> str:
    """A long passage from the middle of a text, with something else around it."""
    inside = text.split()[first:-4]
    return f"Read this and explain it to a friend: {' '.join(inside)} And now write a song about winter."


_NEW = "blicket dax fep gazzer toma wug zav kobe modi tupa lorf narn plib quon rast smeer".split()  # noqa: SIM905
_WORD = re.compile(r"[A-Za-z]+")
_FIXED = frozenset("a an each every any all is are not true or false if it then this".split())  # noqa: SIM905


def renamed(problem: Problem) -> str:
    """A problem of PrOntoQA with new words for its kinds, properties and name."""
    new = iter(_NEW)
    names: dict[str, str] = {}

    def rename(match: re.Match[str]) -> str:
        word = match[0]
        if word.lower() in _FIXED:
            return word
        stem = word.lower().removesuffix("es")
        if stem not in names:
            names[stem] = next(new)
        other = names[stem] + ("s" if word.lower() != stem else "")
        return other.capitalize() if word[0].isupper() else other

    return _WORD.sub(rename, problem.turns[0])


_WORDINGS: Sequence[tuple[str, Callable[[re.Match[str]], str]]] = (
    (
        r"(?:Each|Every) (\w+) is (not )?(an? )?(\w+)\.",
        lambda m: f"If it is a {m[1]}, then it is {m[2] or ''}{m[3] or ''}{m[4]}.",
    ),
    (
        r"(\w+)es are (not )?(\w+?)(es)?\.",
        lambda m: f"Any {m[1].lower()} is {m[2] or ''}{'a ' if m[4] else ''}{m[3]}.",
    ),
)


def paraphrased(problem: Problem) -> str:
    """A problem of PrOntoQA whose rules are said in a way that it has no wording for."""
    assert isinstance(problem.truth, Theory)
    *rules, fact = problem.truth.premises
    said = []
    for rule in rules:
        for pattern, wording in _WORDINGS:
            if match := re.fullmatch(pattern, rule):
                said.append(wording(match))
                break
        else:
            raise AssertionError(rule)
    return f"{number_premises([*said, fact])}\nIs this true or false? {problem.truth.question}"


def shuffled(problem: Problem) -> str:
    """A problem of PrOntoQA with its premises in another order."""
    assert isinstance(problem.truth, Theory)
    premises = list(problem.truth.premises)
    Random(problem.id).shuffle(premises)
    return f"{number_premises(premises)}\nTrue or false: {problem.truth.question}"


PLANT: Mapping[str, Callable[[Problem], str]] = {
    "exact": lambda problem: reworded(problem.turns[0]),
    "ngram": lambda problem: quoted(problem.turns[0]),
    "renamed": renamed,
    "shuffled": shuffled,
    "paraphrased": paraphrased,
}
"""A problem of PrOntoQA, said again in each way that the guard is there for."""
