"""How problems of first-order logic are shown and answered: with formulas, or in English alone."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from engine.records import Theory

Form: TypeAlias = Literal["formal", "english"]
ASKED = "True, false or unknown: "


def prompt_of(form: Form, theory: Theory, sentences: Sequence[str], question: str) -> str:
    """A problem as it is shown; `theory` has its formulas, and the texts are its sentences.

    ``formal``: each sentence and, below it, its formula with its number; then what is asked, likewise. A
    formula may have no sentence, which is then empty. In ``english`` sentences have the numbers. A question
    without a sentence is its formula.
    """
    if form == "english":
        rows = [f"{told} [{number}]" for number, told in enumerate(sentences, 1)]
        return "\n".join([*rows, f"{ASKED}{question or theory.question} [?]"])
    rows = []
    for number, (told, formula) in enumerate(zip(sentences, theory.premises, strict=True), 1):
        rows += [*([told] if told else []), f"{formula} [{number}]"]
    return "\n".join([*rows, f"{ASKED}{question}".rstrip(), theory.question])


def theory_of_form(form: Form, premises: Sequence[str], question: str, answer: str) -> Theory:
    """What there is to prove, from formulas in the notation `first_order`."""
    notation = "formalized" if form == "english" else "first_order"
    return Theory(premises=tuple(premises), question=question, notation=notation, answer=answer)


def reply_of(form: Form, theory: Theory, proof: str) -> str:
    """The gold reply: the proof, in English after a line with the formula of each sentence."""
    if form == "formal":
        return proof
    rows = [f"{formula} [{number}]" for number, formula in enumerate(theory.premises, 1)]
    return "\n".join([*rows, f"{theory.question} [?]", proof])
