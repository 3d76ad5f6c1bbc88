"""Where the sentences of a text end: not behind ``Dr.``, ``St.`` or the initial of a name."""

import re

STARTERS = (
    r"I|I'm|I've|I'd|He|She|They|It|We|You|His|Her|Their|My|Your|Our|The|This|That|There|An?|Here|Nowhere|"
    r"Nobody|Nothing|None|Never|Somewhere|Anywhere|Why|What|Who|How|Where|When|Since|Because|If|But|And|So|"
    r"Oh|Well|Sure|Please|Sorry|Yes|No|Not|Maybe|Perhaps|Probably|Guess|In|On|At|With|From|To|By|For|As|Of"
)
"""Words with a capital that begin sentences and are no part of a name, as a regular expression."""
_BEFORE_NAMES = "Mr Mrs Ms Dr Prof Rev Hon St Ste Mt Ft Capt Col Gen Lt Sgt Gov Sen".split()  # noqa: SIM905
_BEHIND_NAMES = "Sr Jr Inc Ltd Corp Co Bros Ave Blvd Rd".split()  # noqa: SIM905
ABBREVIATIONS = "|".join([*_BEFORE_NAMES, *_BEHIND_NAMES])
"""What is written with a full stop in the names of people, places and companies, without the stop."""
_WITHIN = "".join(rf"(?<!\b{each}\.)" for each in _BEFORE_NAMES)
_UNSURE = "".join(rf"(?<!\b{each}\.)" for each in _BEHIND_NAMES) + r"(?<!\b[A-Z]\.)"
_END = re.compile(
    # What may end a name ends the sentence only where the next word begins one.
    rf"{_WITHIN}(?:(?<=[.!?…])|(?<=[.!?…][\"”’)]))(?:{_UNSURE}|(?=\s+(?:{STARTERS})\b))\s+"
    rf"|\n\s*\n|\n(?=\W*(?:{STARTERS})\b)"
)


def sentences(text: str) -> list[str]:
    """The sentences of a text, in order. A line goes on in the next one that begins no sentence."""
    return [part.strip() for part in _END.split(text.strip()) if part.strip()]
