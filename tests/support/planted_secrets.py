"""Private data of every kind, made up by seed: it has the shape and the checksum of what is real."""

import base64
import json
from collections.abc import Callable, Mapping
from random import Random

from stdnum import luhn

_ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_DIGITS = "0123456789"
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_NAMES = ("anna.miller", "j.moreau", "p_oneil", "weber")
_DOMAINS = ("acme-tools.com", "nordwind.de", "physics.uni.ac.uk", "mail.example.org")
_NETWORKS = (81, 93, 151, 185)


def drawn(rng: Random, num: int, letters: str = _ALNUM) -> str:
    return "".join(rng.choices(letters, k=num))


def mail(rng: Random, at: int) -> str:
    return f"{_NAMES[at % 4]}{rng.randrange(999)}@{_DOMAINS[at % 4]}"


def phone(rng: Random, at: int) -> str:
    tail = drawn(rng, 6, _DIGITS)
    return (
        f"+49 30 90{tail}",
        f"+1 212-5{tail[:2]}-{tail[2:]}",
        f"(415) 5{tail[:2]}-{tail[2:]}",
        f"415-5{tail[:2]}-{tail[2:]}",
        f"+44 7400 {tail}",
        f"+33 6 12 {tail[:2]} {tail[2:4]} {tail[4:]}",
        f"020 7946 0{tail[:3]}",
    )[at % 7]


def card(rng: Random, at: int) -> str:
    issuer, groups = (
        ("4", (4, 4, 4, 4)),
        ("51", (4, 4, 4, 4)),
        ("2221", (4, 4, 4, 4)),
        ("6011", (4, 4, 4, 4)),
        ("37", (4, 6, 5)),
    )[at % 5]
    body = issuer + drawn(rng, sum(groups) - 1 - len(issuer), _DIGITS)
    number = body + luhn.calc_check_digit(body)
    starts = [sum(groups[:place]) for place in range(len(groups))]
    return ("", " ", "-")[at % 3].join(
        number[start : start + size] for start, size in zip(starts, groups, strict=True)
    )


def iban(rng: Random, at: int) -> str:
    country, bank, size = (("DE", "", 18), ("GB", "WEST", 14), ("NL", "ABNA", 10))[at % 3]
    account = bank + drawn(rng, size, _DIGITS)
    value = int("".join(str(int(char, 36)) for char in f"{account}{country}00"))
    number = f"{country}{98 - value % 97:02}{account}"
    return " ".join(number[i : i + 4] for i in range(0, len(number), 4)) if at % 2 else number


def ip_address(rng: Random, at: int) -> str:
    if at % 4 == 0:
        return f"2a02:{rng.randrange(2**12, 2**16):x}:{rng.randrange(1, 2**16):x}::{at + 1:x}"
    return f"{_NETWORKS[at % 4]}.{rng.randrange(10, 250)}.{rng.randrange(250)}.{rng.randrange(250)}"


def mac_address(rng: Random, at: int) -> str:
    return ":-"[at % 2].join([*(f"{rng.randrange(256):02x}" for _ in range(5)), "5e"])


def credential(rng: Random, at: int) -> str:
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "HS256", "typ": "JWT"}, {"sub": drawn(rng, 10), "admin": True})
    )
    key = "\n".join(drawn(rng, 64) for _ in range(6))
    numbers = f"{rng.randrange(10**11, 10**12)}-{rng.randrange(10**11, 10**12)}"
    return (
        f"AKIA{drawn(rng, 16, _BASE32)}",
        f"ghp_{drawn(rng, 36)}",
        f"sk-proj-{drawn(rng, 48)}",
        f"xoxb-{numbers}-{drawn(rng, 24)}",
        f"{head}.{body}.{drawn(rng, 43)}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{key}\n-----END RSA PRIVATE KEY-----",
        f'api_key = "{drawn(rng, 32)}"',
        f"DB_PASSWORD={drawn(rng, 24)}",
        f"glpat-{drawn(rng, 20)}",
        f"postgres://admin:{drawn(rng, 12)}@db.acme-tools.com/main",
    )[at % 10]


MAKERS: Mapping[str, Callable[[Random, int], str]] = {
    "mail": mail,
    "phone": phone,
    "card": card,
    "iban": iban,
    "ip_address": ip_address,
    "mac_address": mac_address,
    "credential": credential,
}
"""By kind, what makes one; its number chooses among the forms. ``credential`` is any key or token."""
