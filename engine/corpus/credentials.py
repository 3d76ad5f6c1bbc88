"""Keys and tokens in a text: known shapes, each with a check that tells it from what only looks like one.

The shapes are those that the issuers document. A value that is given to a name such as ``secret`` or
``api_key`` counts where it looks drawn at random, so that ``token = get_token()`` does not; what is given to
a password counts where it is none of the words and names that stand there in code and in prose.
"""

import base64
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

_LEAST, _LEAST_DIFFERENT, _LEAST_CHANGES = 16, 9, 4
"""Letters and digits of a random value, different ones among them, and changes between the two."""
_HEX, _LOW, _HIGH = 2.9, 3.3, 4.2
"""Bits a character: at least, of digits and the letters up to f; of all; and where no digit speaks for it."""
_IS_HEX = re.compile(r"[0-9a-fA-F]+")
_STAND_IN = re.compile(r"placeholder|your[-_]|xxxx|changeme|redacted|dummy", re.IGNORECASE)
_NO_PASSWORDS = frozenset(("password", "passwd", "pass", "pwd", "secret", "token", "key"))
_OPENING = r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
_CLOSING = r"-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
_GIVEN = (
    r"(?:pass(?:word|wd|phrase)|pwd|secret|token|credential|authorization"
    r"|(?:api|access|auth|private|account|encryption)[-_ ]?key)"
    r"s?\w{0,20}[\"'\]]{0,2}\s{0,3}(?::=|=>|[:=])\s{0,3}(?:(?:bearer|basic)\s{1,3})?[\"'`]?"
)
"""A name of something secret, and what stands between it and its value."""

_PASSWORD_NAMES = (
    *("password", "passwort", "passwd", "passphrase", "pwd", "kennwort", "mot de passe", "contraseña"),
    *("senha", "wachtwoord"),
)
_PASSWORD = rf"(?:{'|'.join(_PASSWORD_NAMES)})[\"'\]]{{0,2}}\s{{0,3}}(?::=|=>|[:=])\s{{0,3}}"
"""A name that ends in a word for a password, and what stands between it and its value."""
_METHOD = re.compile(
    r"(?:sha-?\d|md5|base64|bcrypt|argon2|pbkdf2|utf-?8|latin-?1|plain)[\w-]*", re.IGNORECASE
)
"""What is said of a password in place of it."""
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|[A-Za-z]\w*_\w*|\w*(?:passw|pwd)\w*", re.IGNORECASE)
"""A variable, or a field of one."""


class _Shape(NamedTuple):
    """What a credential looks like."""

    hints: tuple[str, ...]
    """A text without any of them, in small letters, holds none."""
    pattern: re.Pattern[str]
    """The credential is its group ``it`` where it has one, or the whole."""
    is_one: Callable[[str], bool]


def _is_any(text: str) -> bool:
    """Whether a text that has the shape is a credential: the shape itself says so."""
    return True


def _is_random(text: str) -> bool:
    """Whether a value was drawn and not written: its digits and capitals stand anywhere, and few repeat."""
    core = re.sub(r"[^A-Za-z0-9]", "", text)
    if _STAND_IN.search(text) or len(core) < _LEAST or len(set(core)) < _LEAST_DIFFERENT:
        return False
    bits = _entropy(core)
    changes = sum(one.isdigit() != two.isdigit() for one, two in zip(core, core[1:], strict=False))
    is_mixed = changes >= _LEAST_CHANGES or (bits >= _HIGH and _has_capitals_anywhere(core))
    return is_mixed and bits >= (_HEX if _IS_HEX.fullmatch(core) else _LOW)


def _entropy(text: str) -> float:
    """Bits a character (Shannon 1948)."""
    counts = Counter(text)
    return -sum(num / len(text) * math.log2(num / len(text)) for num in counts.values())


def _has_capitals_anywhere(text: str) -> bool:
    """Whether capitals stand elsewhere than where words begin, as they do in ``getAccessToken``."""
    return len(re.findall(r"[A-Z][a-z]{0,2}(?=[A-Z])", text)) >= 3


def _is_web_token(text: str) -> bool:
    """Whether a text is a JSON Web Token (RFC 7519): its header says by which algorithm it is signed."""
    header = text.partition(".")[0]
    try:
        read = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (ValueError, RecursionError):
        return False
    return isinstance(read, dict) and "alg" in read


def _is_password(text: str) -> bool:
    """Whether what an address holds is a password, and neither a variable nor a word for one."""
    return text.lower() not in _NO_PASSWORDS and text[0] not in "$<{[%*" and not _STAND_IN.search(text)


def _is_chosen(text: str) -> bool:
    """Whether a value in quotes is a password: a digit or a symbol within it says so."""
    has_odd = re.search(r"\d|[!@#$%^&*?+=](?=.)", text)
    return bool(has_odd) and _is_password(text) and not _METHOD.fullmatch(text)


def _is_typed(text: str) -> bool:
    """Whether a value without quotes is a password, and no name."""
    has_both = any(map(str.isdigit, text)) and any(map(str.isalpha, text))
    return has_both and _is_chosen(text) and not _NAME.fullmatch(text)


CREDENTIALS: Mapping[str, tuple[_Shape, ...]] = {
    "private_key": (
        _Shape(
            ("private key",),
            re.compile(
                rf"{_OPENING}(?:(?=.{{0,300}}?[A-Za-z0-9+/]{{16}}).{{16,20000}}?{_CLOSING}"
                r"|(?:\s*[A-Za-z0-9+/]{16,}={0,2})+)",
                re.DOTALL,
            ),
            _is_any,
        ),
    ),
    "jwt": (
        _Shape(("eyj",), re.compile(r"\beyJ[\w-]{8,4096}+\.eyJ[\w-]{8,4096}+\.[\w-]{16,}"), _is_web_token),
    ),
    "aws_key": (_Shape(("akia", "asia"), re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), _is_any),),
    "github_token": (
        _Shape(
            ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
            re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})\b"),
            _is_random,
        ),
    ),
    "openai_key": (
        _Shape(
            ("sk-",),
            re.compile(r"\bsk-(?:(?:proj|svcacct|admin|ant)-[\w-]{20,}|[A-Za-z0-9]{32,})(?![\w-])"),
            _is_random,
        ),
    ),
    "slack_token": (
        _Shape(
            ("xox", "xapp-"),
            re.compile(r"\b(?:xox[abeoprs]|xapp)-(?:[0-9A-Za-z]{1,64}-){1,6}[0-9A-Za-z]{10,}\b"),
            _is_random,
        ),
        _Shape(
            ("hooks.slack.com",),
            re.compile(r"\bhooks\.slack\.com/services/(?P<it>T[A-Z0-9]{8,}/B[A-Z0-9]{8,}/[A-Za-z0-9]{20,})"),
            _is_any,
        ),
    ),
    "secret": (
        # Google, Stripe, GitLab, Hugging Face, npm
        _Shape(
            ("aiza", "k_live_", "k_test_", "glpat-", "hf_", "npm_"),
            re.compile(
                r"\b(?:AIza[\w-]{35}|[sr]k_(?:live|test)_[0-9A-Za-z]{16,}|glpat-[\w-]{20,}|hf_[A-Za-z]{34}"
                r"|npm_[A-Za-z0-9]{36})(?![\w-])"
            ),
            _is_any,
        ),
        _Shape(
            ("://",),
            re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,64}:(?P<it>[^\s:/@]{4,128})@(?=[\w\[])", re.I),
            _is_password,
        ),
        _Shape(
            ("pass", "pwd", "secret", "token", "key", "credential", "authorization"),
            # The value is taken whole or not at all: a part of a call's name is no value.
            re.compile(
                rf"{_GIVEN}(?P<it>(?:\w{{1,12}}\.)?[\w+/~-]{{16,4096}}+(?:\.[\w+/~-]{{6,}})*+={{0,2}})(?![\w(\[])",
                re.IGNORECASE,
            ),
            _is_random,
        ),
        _Shape(
            _PASSWORD_NAMES,
            re.compile(rf"{_PASSWORD}([\"'`])(?P<it>[^\s\"'`]{{6,128}})\1", re.IGNORECASE),
            _is_chosen,
        ),
        _Shape(
            _PASSWORD_NAMES,
            # The value is taken whole or not at all, as above.
            re.compile(
                rf"{_PASSWORD}(?P<it>(?>[\w!@#^?+][^\s\"'`,;<>(){{}}\[\]|\\&]{{4,126}}[\w!@#$%^*?+=~-]))(?![\w(\[])",
                re.IGNORECASE,
            ),
            _is_typed,
        ),
    ),
}
"""The shapes of each kind."""


def credentials_in(text: str, kind: str) -> Iterator[tuple[int, int]]:
    """Where each credential of a kind begins and ends."""
    small = text.lower()
    for shape in CREDENTIALS[kind]:
        if any(hint in small for hint in shape.hints):
            group = "it" if "it" in shape.pattern.groupindex else 0
            yield from (
                match.span(group) for match in shape.pattern.finditer(text) if shape.is_one(match[group])
            )
