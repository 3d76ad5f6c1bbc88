"""Private data of every kind is found whole, and what only has its shape is left as it stands."""

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.curation import Private
from engine.corpus.private import KINDS, PrivateStation, find, mask
from engine.corpus.stations import CurationError
from engine.records import Turn
from tests.support.examples import example
from tests.support.planted_secrets import MAKERS
from tests.support.planted_texts import BAITS

JWT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0."
    "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
)
PRIVATE = {
    "mail": (
        "anna@acme.com",
        "o'brien+news@mail.acme-tools.co.uk",
        "j_doe%x@müller.de",
        "press@x.com",
        "someone@example.com",
    ),
    "card": (
        "4111 1111 1111 1111",
        "4111111111111111",
        "5555-5555-5555-4444",
        "2223 0031 2200 3222",
        "3782 822463 10005",
        "30569309025904",
    ),
    "iban": (
        "DE89 3704 0044 0532 0130 00",
        "GB82WEST12345698765432",
        "FR1420041010050500013M02606",
        "de89 3704 0044 0532 0130 00",
    ),
    "phone": (
        "+49 30 901820",
        "+1 (212) 555-0123",
        "(415) 555-2671",
        "415-555-2671",
        "415 555 2671",
        "+33 6 12 34 56 78",
    ),
    "ip_address": ("81.92.101.7", "2a00:1450:4001:81b::200e", "93.184.216.34"),
    "mac_address": ("00:1a:2b:3c:4d:5e", "00-1A-2B-3C-4D-5E", "001A.2B3C.4D5E"),
    "jwt": (JWT,),
    "aws_key": ("AKIAIOSFODNN7EXAMPLE", "ASIA2B3C4D5E6F7G2H3J"),
    "github_token": ("ghp_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",),
    "openai_key": ("sk-proj-a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6", "sk-a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0"),
    "slack_token": ("xoxb-123456789012-1234567890123-a1B2c3D4e5F6g7H8i9J0k1L2",),
    "secret": ("glpat-a1B2c3D4e5F6g7H8i9J0", "AIzaSyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q"),
}


@pytest.mark.parametrize(("kind", "secret"), [(kind, each) for kind in PRIVATE for each in PRIVATE[kind]])
def test_private_data_is_masked_whole(kind: str, secret: str) -> None:
    for before, after in (("Use ", " for it."), ("", ""), ("(", ")"), ("Use: ", "."), ("so '", "', please")):
        assert mask(f"{before}{secret}{after}") == (f"{before}[{kind}]{after}", {kind: 1})


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Call me: 020 7946 0958.", "Call me: [phone]."),
        ("Telefon 030 90182000, bitte", "Telefon [phone], bitte"),
        ("My cell is 4155552671.", "My cell is [phone]."),
        ("my number is 4155552671", "my number is [phone]"),
        ("4155552671, call it please", "[phone], call it please"),
        ("Rufen Sie 0171/2345678 an", "Rufen Sie [phone] an"),
        ("Send ab12 to gb82 west 1234 5698 7654 32 now", "Send ab12 to [iban] now"),
        ("password: hunter2", "password: [secret]"),
        ("The Wi-Fi password: Guest-2024. It is", "The Wi-Fi password: [secret]. It is"),
        ("password = 'S3cr3t!Pass'", "password = '[secret]'"),
        ('{"user": "ann", "password": "Pa$$word"}', '{"user": "ann", "password": "[secret]"}'),
        ("DB_PWD=winter2024 ./start", "DB_PWD=[secret] ./start"),
        ("Mein Passwort: sommer24!", "Mein Passwort: [secret]"),
        ("http://x.org/?password=hunter2&page=2", "http://x.org/?password=[secret]&page=2"),
        ("DE89370400440532013000 2 days", "[iban] 2 days"),
        ("DE89 3704 0044 0532 0130 00 EUR", "[iban] EUR"),
        ("http://81.92.101.7:8080/x", "http://[ip_address]:8080/x"),
        ('api_key = "a1B2c3D4e5F6g7H8i9J0"', 'api_key = "[secret]"'),
        ("DB_PASSWORD=kx83Hd02LqPzW71m", "DB_PASSWORD=[secret]"),
        ('{"client_secret": "9f86d081884c7d659a2feaa0c55ad015"}', '{"client_secret": "[secret]"}'),
        ("Authorization: Bearer a1B2c3D4e5F6g7H8i9J0", "Authorization: Bearer [secret]"),
        ("postgres://admin:hunter2x@db.acme.com/main", "postgres://admin:[secret]@db.acme.com/main"),
        ("https://hooks.slack.com/services/T01234567/B01234567/a1B2c3D4e5F6g7H8i9J0k1L2",
         "https://hooks.slack.com/services/[slack_token]"),
        ("From anna@acme.com to bert@acme.com", "From [mail] to [mail]"),
    ],
)  # fmt: skip
def test_only_what_is_private_is_masked(text: str, masked: str) -> None:
    assert mask(text).text == masked


@pytest.mark.parametrize("end", ["\n-----END RSA PRIVATE KEY-----", ""])
def test_a_private_key_is_masked_to_its_end(end: str) -> None:
    body = "\n".join("MIIEpAIBAAKCAQEA75kZ" * 3 for _ in range(4))
    text = f"Here:\n-----BEGIN RSA PRIVATE KEY-----\n{body}{end}"
    assert mask(text) == ("Here:\n[private_key]", {"private_key": 1})
    assert mask("A file that begins with -----BEGIN PRIVATE KEY----- is one.").counts == {}


@pytest.mark.parametrize("kind", MAKERS)
def test_made_up_data_of_each_kind_is_found(kind: str) -> None:
    rng = Random(0)
    made = [MAKERS[kind](rng, at) for at in range(60)]
    told = [f"Call {each} now." for each in made]
    missed = [each for each, text in zip(made, told, strict=True) if each in mask(text).text]
    assert len(missed) <= 3, missed


@pytest.mark.parametrize(("prompt", "reply"), BAITS)
def test_what_only_has_the_shape_is_left(prompt: str, reply: str) -> None:
    assert mask(prompt) == (prompt, {}) and mask(reply) == (reply, {})


@pytest.mark.parametrize(
    "text",
    [
        "The rows are 250 300 1200 1500 and 12 415 555 2671.",
        "Order number 4155552671 left the house.",
        "Try fp16 model weights in bf16 and h264 video files at once, so de89 more of them fit.",
        "Groups 1234.5678.9012 and dead.beef.cafe are none.",
        "password = settings.database_password_v1",
        "password = read_password2(path)",
        "password = userPassword1",
        "if password == password2: return first1",
        "password: str = field1.default",
        "def login(user, password: bytes32[4]): ...",
        "Password: at least 8 characters",
        "Passwords: base64 or sha256.",
        "password: sha256-hashed, password=$PASSWORD1",
        "PWD=/home/anna2024/work",
        '{"password": "Required!", "password_changed_at": "2024-01-01"}',
        '{"password": "form.password", "passwd": "new-password"}',
        'password = os.environ["DB_1_PASSWORD"]',
        "password: your-password-123",
    ],
)
def test_what_stands_where_private_data_may_is_left(text: str) -> None:
    assert mask(text) == (text, {})


def test_kinds_are_looked_for_by_name() -> None:
    text = "Write to anna@acme.com from 81.92.101.7."
    assert mask(text, ["mail"]).text == "Write to [mail] from 81.92.101.7."
    assert mask(text, []) == (text, {})
    assert {found.kind for found in find(text)} == {"mail", "ip_address"}


@given(st.text(max_size=200) | st.text("0123456789.:-+@ ()abcdefAKIAey", max_size=200))
def test_pieces_stand_in_order_and_apart_and_nothing_else_is_changed(text: str) -> None:
    found = find(text)
    assert all(one.end <= other.start for one, other in zip(found, found[1:], strict=False))
    assert all(0 <= each.start < each.end <= len(text) and each.kind in KINDS for each in found)
    rebuilt, at = "", 0
    for each in found:
        rebuilt += f"{text[at : each.start]}[{each.kind}]"
        at = each.end
    assert mask(text).text == rebuilt + text[at:]
    assert sum(mask(text).counts.values()) == len(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "counts"),
    [
        ("a-", {}),
        ("1", {}),
        ("a.b@", {}),
        ("00:", {}),
        ("eyJ", {}),
        ("eyJ-", {}),
        ("xoxb-", {}),
        ("key=", {}),
        ("password:", {}),
        ("password=a.", {}),
        ("ab12 ", {}),
        ("a@bc.de ", {"mail": 12_500}),
    ],
)
def test_a_long_text_of_one_shape_takes_no_quadratic_time(shape: str, counts: dict[str, int]) -> None:
    assert mask(shape * (100_000 // len(shape))).counts == counts


def test_a_station_masks_every_text_and_counts_the_pieces() -> None:
    chat = (Turn(role="system", text="anna@acme.com"), Turn(role="user", text="I am bert@acme.com."))
    given = [
        example("", "It is 81.92.101.7.", rejected="anna@acme.com", chat=chat, id="carl@acme.com"),
        example("Why?", "So."),
    ]
    kept, removed, noted = PrivateStation(Private())(given)
    assert not removed and noted == {"mail": 4, "ip_address": 1}
    assert list(kept[0].texts) == ["[mail]", "I am [mail].", "It is [ip_address].", "[mail]"]
    assert (kept[0].id, kept[0].place) == ("[mail]", given[0].place)
    assert kept[1] is given[1]


def test_stories_that_name_people_stay_apart_without_their_names() -> None:
    given = [example("a", "b", story=f"{name}@acme.com") for name in ("anna", "bert", "anna")]
    kept, _, noted = PrivateStation(Private())(given)
    first, other, again = (each.story for each in kept)
    assert first == again != other and "acme" not in first + other and noted == {"mail": 3}


def test_a_station_that_drops_shows_nothing_of_what_it_found() -> None:
    given = [example("I am bert@acme.com.", "Hello."), example("Why?", "So.")]
    kept, (removal,), noted = PrivateStation(Private(action="drop"))(given)
    assert kept == given[1:] and noted == {}
    assert (removal.station, removal.fault) == ("private", "mail")
    assert (removal.reason, removal.text) == ("holds private data: 1 × mail", "I am [mail].")


def test_a_station_that_refuses_names_the_place_and_the_kinds() -> None:
    station = PrivateStation(Private(action="refuse"))
    sound = example("Why?", "So.")
    assert station([sound]).kept == [sound]
    with pytest.raises(CurationError) as raised:
        station([example("Why?", "Ask bert@acme.com.")])
    assert str(raised.value).startswith("faq.jsonl, line 1 holds private data: 1 × mail; private.action is")
    assert "bert" not in str(raised.value)


def test_a_kind_that_does_not_exist_is_refused() -> None:
    assert PrivateStation(Private(kinds=["mail"]))([example("a", "b")]).kept
    with pytest.raises(CurationError, match=r"private.kinds: 'email' is no kind; there are private_key, .*"):
        PrivateStation(Private(kinds=["email"]))


def test_every_kind_is_tried_here() -> None:
    assert {*PRIVATE, "private_key"} == set(KINDS)
    assert json.loads(json.dumps(mask("Write to anna@acme.com.")._asdict()))["counts"] == {"mail": 1}
