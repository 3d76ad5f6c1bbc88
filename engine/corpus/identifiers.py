"""Numbers and addresses that name a person, an account or a machine, each found by its shape and a check.

Phone numbers are checked by Google's library of numbering plans (phonenumbers), cards by issuer and checksum
(Luhn), accounts by country and checksum (ISO 13616), addresses of machines by what they stand for. What has
the shape but belongs to nobody is left: versions, private networks, orders that fail a checksum.
"""

import ipaddress
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]
"""Where a text begins and ends within another."""

_LETTER = r"A-Za-z0-9\u00c0-\u024f"
"""Letters and digits of a domain."""
_MAIL = re.compile(
    r"(?<![A-Za-z0-9_.%+-])[A-Za-z0-9_+](?:[A-Za-z0-9_.%+'-]{0,62}[A-Za-z0-9_%+-])?"
    rf"@(?P<domain>(?:[{_LETTER}](?:[{_LETTER}-]{{0,61}}[{_LETTER}])?\.){{1,8}}(?:xn--[a-z0-9-]{{2,59}}|[A-Za-z]{{2,24}}))"
    rf"(?![{_LETTER}(])"
)
_IMAGE = re.compile(r"[1-9]x\.(?:png|jpe?g|webp|gif|svg)", re.IGNORECASE)
"""A file such as ``logo@2x.png``."""
_DIALLED = re.compile(r"(?:\d[\s().\-/]{0,3}){7}")
_PLUS = re.compile(r"[+＋]\s?\(?\d")
_NORTH_AMERICAN = re.compile(
    r"(?<![\w.-])(?<!\d )(?:1[-. ])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[-. ])[2-9]\d\d[-. ]\d{4}"
    r"(?![\w-]| \d)"
)
"""A number in a row of numbers is none."""
_CALLED = re.compile(
    r"\b(?:phone|telephone|tel|cell ?phone|cell|mobile|fax|call(?:ed|ing)?|dial|whatsapp|sms|text me|hotline"
    r"|(?:my|your|his|her|our|their) number"
    r"|telefon|telefonnummer|rufnummer|handynummer|handy|anrufen|rufen?|ruft|(?:[mds]eine|ihre) nummer"
    r"|téléphone|tél|appele[rz]|teléfono|móvil|llam(?:e|ar)"
    r"|telefone|celular|telefono|cellulare|telefoon|bel)\b",
    re.IGNORECASE,
)
"""Words beside a number that is dialled."""
_CALLED_WITHIN = 40
"""Characters between such a word and its number, which may stand before it or after it."""
_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "BR", "IN", "AU")
"""Numbering plans by which a number without a country's code is read."""
_CARD = re.compile(
    r"(?<![\w.,+/-])(?:"
    r"(?:4\d{3}|5[1-5]\d{2}|2(?:22[1-9]|2[3-9]\d|[3-6]\d{2}|7[01]\d|720)|35\d{2}|6(?:011|4[4-9]\d|[25]\d{2}))"
    r"([ -]?)\d{4}\1\d{4}\1\d{4}"
    r"|3[47]\d{2}([ -]?)\d{6}\2\d{5}|3(?:0[0-5]|[689]\d)\d([ -]?)\d{6}\3\d{4}"
    r")(?![\w/]|[.,-]\d)"
)
"""Sixteen digits of Visa, Mastercard, JCB, Discover and UnionPay, fifteen of American Express, fourteen of
Diners Club."""
_IBAN = re.compile(r"(?<![A-Za-z0-9])(?=([A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30})(?![A-Za-z]))")
"""One may begin within what only looks like another."""
_IPV4 = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_REACHED = ipaddress.ip_network("2000::/3")
"""Where the addresses of version 6 lie that machines have on the internet."""
_NUMBERED = re.compile(
    r"(?:\b(?:version|release|build|firmware|section|chapter|clause|article|table|figure|rule|step)s?"
    r"|[=<>~]=|[^/]/|§)\s*\Z",
    re.IGNORECASE,
)
"""What stands before four numbers that are a version, as in ``Chrome/120.0.0.1``, or a place in a text."""
_MAC = re.compile(
    r"(?<![\w:-])[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![\w:-])"
    r"|(?<![\w.-])(?=[a-f.]*\d)(?=[\d.]*[a-f])[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}(?![\w-]|\.\w)",
    re.IGNORECASE,
)
"""Six bytes, or three groups with digits and letters, as routers of Cisco write them."""


def _mails(text: str) -> Iterator[Span]:
    if "@" not in text:
        return
    for match in _MAIL.finditer(text):
        # git@github.com: is where code lies, and x@w.transpose is a product of matrices.
        is_code = match[0].startswith("git@") and text[match.end() : match.end() + 1] in (":", "/")
        *labels, top = match["domain"].split(".")
        is_product = len(top) > 3 and len(labels[-1]) == 1
        if not (is_code or is_product or _IMAGE.fullmatch(match["domain"])):
            yield match.span()


def _phones(text: str) -> Iterator[Span]:
    """Numbers with their country's code, in the form of North America, or after a word for dialling."""
    if not _DIALLED.search(text):
        return
    written = [match.span() for match in _NORTH_AMERICAN.finditer(text)]
    words = [match.span() for match in _CALLED.finditer(text)]
    if _PLUS.search(text):
        yield from _numbers(text, None)
    for region in _REGIONS if words else ("US",) if written else ():
        for start, end in _numbers(text, region):
            if (region == "US" and _is_within(start, written)) or _is_beside(start, end, words):
                yield start, end


def _is_within(place: int, spans: Sequence[Span]) -> bool:
    """Whether a place is in one of some spans, which ascend."""
    at = bisect_right(spans, place, key=itemgetter(0)) - 1
    return at >= 0 and place < spans[at][1]


def _is_beside(start: int, end: int, words: Sequence[Span]) -> bool:
    """Whether one of the words for dialling, which ascend, stands near enough before or after a number."""
    before = bisect_right(words, start, key=itemgetter(1)) - 1
    after = bisect_left(words, end, key=itemgetter(0))
    if before >= 0 and start - words[before][1] <= _CALLED_WITHIN:
        return True
    return after < len(words) and words[after][0] - end <= _CALLED_WITHIN


def _numbers(text: str, region: str | None) -> Iterator[Span]:
    """Numbers that are valid in a region's plan; without one, those that begin with a country's code."""
    from phonenumbers import Leniency, PhoneNumberMatcher

    for found in PhoneNumberMatcher(text, region, leniency=Leniency.VALID):
        # In "(+49 30 901820)" it takes the opening bracket alone for a part of the number.
        number = found.raw_string
        yield found.start + (number[0] == "(" and number.count("(") > number.count(")")), found.end


def _cards(text: str) -> Iterator[Span]:
    from stdnum import luhn

    for match in _CARD.finditer(text):
        if luhn.is_valid(re.sub(r"\D", "", match[0])):
            yield match.span()


def _ibans(text: str) -> Iterator[Span]:
    from stdnum import iban

    for match in _IBAN.finditer(text):
        # What follows an account may look like a part of it, as in "DE89 … 3000 EUR".
        ends = [match.end(1), *(match.start() + gap.start() for gap in re.finditer("[ -]", match[1]))]
        for end in sorted(ends, reverse=True):
            told = text[match.start() : end]
            # The package is slow with what is none.
            if _has_checksum(told) and iban.is_valid(told, check_country=False):
                yield match.start(), end
                break


def _has_checksum(account: str) -> bool:
    """Whether the two digits of an account check the others."""
    from stdnum.iso7064 import mod_97_10

    plain = account.replace(" ", "").replace("-", "")
    return bool(mod_97_10.checksum(plain[4:] + plain[:4]) == 1)


def _ip_addresses(text: str) -> Iterator[Span]:
    for match in _IPV4.finditer(text):
        # Four single digits are a version or a heading, but for a few servers that belong to nobody.
        is_numbered = len(match[0]) == 7 or _NUMBERED.search(text[max(0, match.start() - 16) : match.start()])
        if not is_numbered and _is_reached(match[0]):
            yield match.span()
    for match in _IPV6.finditer(text):
        if _is_reached(match[0]):
            yield match.span()


def _is_reached(text: str) -> bool:
    """Whether a text is the address of a machine on the internet."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    is_of_one = address.is_global and not address.is_multicast
    return is_of_one and (address.version == 4 or address in _REACHED)


def _mac_addresses(text: str) -> Iterator[Span]:
    for match in _MAC.finditer(text):
        if len(set(re.sub(r"[:-]", "", match[0]))) > 1:  # neither no address nor that of all
            yield match.span()


IDENTIFIERS: Mapping[str, Callable[[str], Iterator[Span]]] = {
    "mail": _mails,
    "card": _cards,
    "iban": _ibans,
    "ip_address": _ip_addresses,
    "mac_address": _mac_addresses,
    "phone": _phones,
}
"""By kind, where those of a text begin and end. Phone numbers come last: their shape is the widest."""
