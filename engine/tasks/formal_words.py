"""The words of formal problems: what predicates say in English, and a sentence for each form of premise."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.logic.formulas import And, Atom, Exists, ForAll, Formula, Iff, Implies, Not, Or, Xor


@dataclass(frozen=True, slots=True)
class Word:
    """A predicate, with what it says of one thing in the third person, and its denial."""

    symbol: str
    says: str
    denies: str


def _adjective(word: str) -> Word:
    return Word(word.capitalize(), f"is {word}", f"is not {word}")


def _verb(verb: str, rest: str) -> Word:
    """`verb` in the third person with -s."""
    symbol = "".join(part.capitalize() for part in f"{verb} {rest}".split())
    return Word(symbol, f"{verb} {rest}".strip(), f"does not {verb.removesuffix('s')} {rest}".strip())


_ADJECTIVES = """
    brave calm clever curious diligent famous friendly generous gentle grumpy happy honest humble jealous lazy
    loyal modest noisy patient polite proud punctual rich shy sleepy strict stubborn talented tidy wise
""".split()  # noqa: SIM905  a list of quoted words is harder to read
_VERBS = (
    "plays chess",
    "plays tennis",
    "plays guitar",
    "speaks French",
    "speaks Polish",
    "drinks tea",
    "drinks coffee",
    "eats meat",
    "reads novels",
    "reads maps",
    "writes poems",
    "writes letters",
    "paints portraits",
    "repairs clocks",
    "repairs bicycles",
    "collects stamps",
    "keeps bees",
    "bakes bread",
    "grows roses",
    "rides horses",
    "drives trucks",
    "sails boats",
    "climbs mountains",
    "works downtown",
    "works overnight",
    "sleeps late",
    "sings well",
    "travels often",
    "owns land",
    "rents rooms",
)
UNARY = tuple([_adjective(word) for word in _ADJECTIVES] + [_verb(*each.split()) for each in _VERBS])
BINARY = tuple(
    _verb(verb, "")
    for verb in (
        "admires",
        "trusts",
        "helps",
        "envies",
        "visits",
        "knows",
        "likes",
        "thanks",
        "invites",
        "respects",
        "follows",
        "praises",
    )
)
"""As many as the links of the two longest chains, each of which may need one."""
NAMES = (
    "adam",
    "clara",
    "david",
    "emma",
    "felix",
    "greta",
    "henry",
    "irene",
    "jonas",
    "laura",
    "martin",
    "nora",
    "oscar",
    "paula",
    "robert",
    "sofia",
)
"""Constants; sentences begin them with a capital."""
_WORDS: Mapping[str, Word] = {word.symbol: word for word in (*UNARY, *BINARY)}


class NoSentence(ValueError):
    """A formula has no form for which there is a template."""


def sentence(formula: Formula) -> str:
    """The sentence of a premise or a question. Raises NoSentence."""
    text = _text(formula)
    return f"{text[0].upper()}{text[1:]}."


def _text(formula: Formula) -> str:
    match formula:
        case ForAll(one, ForAll(other, Implies(And(first, relation), right))):
            told = f"if someone who {_verbs(first, one)} {_phrase(relation, one)} someone"
            return f"{told}, then the latter {_verbs(right, other)}"
        case ForAll(variable, Implies(And(left, other), right)) if variable not in _names(other):
            return f"if someone {_verbs(left, variable)} and {_text(other)}, then {_text(right)}"
        case ForAll(variable, Implies(left, right)):
            return f"everyone who {_verbs(left, variable)} {_verbs(right, variable)}"
        case ForAll(variable, Or(left, right)):
            return f"everyone {_verbs(left, variable)} or {_verbs(right, variable)}, or both"
        case ForAll(variable, Xor(left, right)):
            return f"everyone either {_verbs(left, variable)} or {_verbs(right, variable)}, but not both"
        case ForAll(variable, Iff(left, right)):
            return (
                f"someone {_verbs(left, variable)} if and only if the same person {_verbs(right, variable)}"
            )
        case Not(Exists(variable, body)):
            return f"there is no one who {_verbs(body, variable)}"
        case Exists(variable, body):
            return f"there is someone who {_verbs(body, variable)}"
        case Not(And() | Or() | Xor() | Implies() | Iff()):
            return f"it is not the case that {_text(formula.body)}"
        case And() | Or() | Xor() | Implies() | Iff():
            begin, middle, end = _JOINED[type(formula)]
            return f"{begin}{_text(formula.left)}{middle}{_text(formula.right)}{end}"
    if not (names := _names(formula)):
        raise NoSentence(f"no words for {formula}")
    subject, *others = names
    told = _phrase(formula, subject)
    return " ".join([subject.capitalize(), told, *(name.capitalize() for name in others)])


_JOINED = {
    And: ("", " and ", ""),
    Or: ("", " or ", ", or both"),
    Xor: ("either ", " or ", ", but not both"),
    Implies: ("if ", ", then ", ""),
    Iff: ("", " if and only if ", ""),
}


def _verbs(formula: Formula, variable: str) -> str:
    """What a formula says of its variable, as a sentence goes on after the subject."""
    match formula:
        case And(left, right):
            return f"{_verbs(left, variable)} and {_verbs(right, variable)}"
        case Or(left, right):
            return f"{_verbs(left, variable)} or {_verbs(right, variable)}"
    if _names(formula) != (variable,):
        raise NoSentence(f"no words for {formula}")
    return _phrase(formula, variable)


def _names(formula: Formula) -> tuple[str, ...]:
    """What a literal is about. Raises NoSentence for any other formula."""
    atom = formula.body if isinstance(formula, Not) else formula
    if not isinstance(atom, Atom):
        raise NoSentence(f"no words for {formula}")
    return atom.args


def _phrase(literal: Formula, subject: str) -> str:
    """The predicate of a literal about `subject`, which comes first among what it is about."""
    atom = literal.body if isinstance(literal, Not) else literal
    if not isinstance(atom, Atom) or atom.predicate not in _WORDS or atom.args[:1] != (subject,):
        raise NoSentence(f"no words for {literal}")
    word = _WORDS[atom.predicate]
    return word.denies if isinstance(literal, Not) else word.says
