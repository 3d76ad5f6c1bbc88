"""Plain documents: each is cut into passages, and what counts is how likely a model finds them.

    task: {name: text, files: [notes.txt, docs/**/*.md, articles.jsonl]}

`passages.py` cuts, `fixed.py` divides the passages and draws from them. All passages of a document go to one
part, and a draw that judges takes one passage of each document.
"""

import codecs
import glob
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from configs.tasks import RECORD_FILES, TEXT_FILES, AnyTask, TextTask
from engine.records import Passage, Problem
from engine.tasks import problem_id
from engine.tasks.fixed import Fixed, Record
from engine.tasks.lines import JUDGING, PARTS, Line, split_named
from engine.tasks.objects import (
    LineFault,
    NotARecord,
    keys_of,
    read_objects,
    require_no_mistyped,
    require_text,
    text_of,
    text_or_nothing,
)
from engine.tasks.passages import FEWEST_WORDS, passages
from engine.tasks.records import SLICE, Gathered, require_sound

NAME = "text"
EXAM = "likelihood"
VERIFIERS = ()
_PACKAGE = "package:"
_KEYS = frozenset({"text", "id", "slice", "story", "source", "split"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document, before it is cut."""

    file: str
    number: int
    """Its line in a file of JSON lines; 0 where it is a file by itself."""
    text: str
    id: str = ""
    slice: str = ""
    story: str = ""
    """Documents with one story stay together; empty where it stands alone."""
    split: str = ""

    @property
    def place(self) -> str:
        """Where the document is, for messages."""
        return f"{self.file}, line {self.number}" if self.number else self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The passages of all documents, and what is wrong with others."""

    gathered: Gathered
    num_documents: int
    num_short: int
    """Passages of less than `FEWEST_WORDS` words, which are left out."""


def gather(settings: TextTask) -> Texts:
    """Read a task's files, cut them, and compare their passages with each other. It raises nothing."""
    faults: list[LineFault] = []
    ignored: Counter[str] = Counter()
    documents = list(_documents(settings, faults, ignored))
    faults += _contradictions(documents)
    first: dict[str, Line] = {}
    repeats: list[tuple[Line, Line]] = []
    num_short = 0
    for document in documents:
        for line in _cut(document, settings):
            known = first.get(id_of(line))
            if len(line.prompt.split()) < FEWEST_WORDS:
                num_short += 1
            elif known is None:
                first[id_of(line)] = line
            else:
                repeats.append((line, known))
                if line.split != known.split:
                    reason = f"repeats {known.place}, in another split"
                    faults.append(LineFault(file=line.file, number=line.number, reason=reason))
    if documents and not first and not faults:
        reason = f"holds no passage of {FEWEST_WORDS} words or more"
        faults.append(LineFault(file=documents[0].file, number=0, reason=reason))
    return Texts(
        gathered=Gathered(
            lines=tuple(first.values()),
            repeats=tuple(repeats),
            conflicts=(),
            faults=tuple(sorted(faults, key=lambda fault: (fault.file, fault.number))),
            ignored=ignored,
        ),
        num_documents=len(documents),
        num_short=num_short,
    )


def open(settings: AnyTask) -> Fixed:
    """The suite of a config's documents. Raises DataError for files that cannot be used."""
    assert isinstance(settings, TextTask), "the task's own leaf"
    return suite_of(gather(settings).gathered, settings)


def suite_of(gathered: Gathered, settings: TextTask) -> Fixed:
    """The suite of passages that were cut. Raises DataError for files that cannot be used."""
    lines = require_sound(gathered).lines
    records = [Record(problem=problem_of(line), story=line.story, split=line.split) for line in lines]
    return Fixed(records, shares=settings.shares, per_test=settings.per_test, verifiers=(), unit="passage")


def read(path: Path) -> list[Problem]:
    """The passages of a file, cut as by default. Raises DataError."""
    return problems_in(TextTask(files=[str(path)]))


def problems_in(settings: TextTask) -> list[Problem]:
    """All passages of a task's files, in their order. Raises DataError as `open` does."""
    return [problem_of(line, "public") for line in require_sound(gather(settings).gathered).lines]


def id_of(line: Line) -> str:
    """The id of a passage's problem: blanks do not count, nor do its file and its place."""
    return problem_id(NAME, " ".join(line.prompt.split()))


def problem_of(line: Line, split: str = "") -> Problem:
    """A passage as a problem, of which nothing is asked."""
    return Problem(
        id=id_of(line),
        task=NAME,
        slice=line.slice or SLICE,
        turns=(),
        truth=Passage(text=line.prompt),
        gold=(),
        split=split,
        origin=f"{Path(line.file).name}#{line.id or line.number}",
        story=line.story,
    )


def _cut(document: Document, settings: TextTask) -> Iterator[Line]:
    """The passages of a document, also too short ones."""
    # By its content, so that a document keeps its part where its file is renamed.
    own = problem_id("document", " ".join(document.text.split()))
    story = document.story or (own if settings.divide == "documents" else "")
    for cut in passages(document.text, settings.words, wrapped=not document.number):
        yield Line(
            file=document.file,
            number=document.number or cut.line,
            id=document.id,
            prompt=cut.text,
            system="",
            accepted=(),
            reply="",
            slice=document.slice,
            story=story,
            split=document.split,
        )


def _documents(settings: TextTask, faults: list[LineFault], ignored: Counter[str]) -> Iterator[Document]:
    for name in dict.fromkeys(file for entry in settings.files for file in _located(entry, faults)):
        if Path(name).suffix in RECORD_FILES:
            found: list[Document] = []

            def take(record: dict[str, Any], number: int, name: str = name, found: Any = found) -> None:
                found.append(_of_object(record, name, number))
                ignored.update(record.keys() - _KEYS)

            read_objects(name, faults, take, what="text")
            yield from found
        elif document := _of_file(name, faults):
            yield document


def _located(entry: str, faults: list[LineFault]) -> list[str]:
    """The files that an entry of a config names: a path, a pattern, or a file of an installed package."""

    def fault(reason: str) -> list[str]:
        faults.append(LineFault(file=entry, number=0, reason=reason))
        return []

    if entry.startswith(_PACKAGE):
        package, _, inside = entry.removeprefix(_PACKAGE).partition("/")
        spec = find_spec(package) if package.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            return fault(f"no package '{package}' is installed")
        return [str(Path(spec.submodule_search_locations[0]) / inside)]
    if not glob.has_magic(entry) or Path(entry).exists():
        return [entry]
    found = sorted(file for file in glob.glob(entry, recursive=True) if not Path(file).is_dir())
    return found or fault("matches no file")


def _of_file(name: str, faults: list[LineFault]) -> Document | None:
    """A file that is one document; None where it cannot be used."""
    number, reason = 0, ""
    try:
        if Path(name).suffix not in TEXT_FILES:
            raise NotARecord(f"must end in {', '.join((*TEXT_FILES, *RECORD_FILES))} to be read as text")
        content = Path(name).read_bytes().removeprefix(codecs.BOM_UTF8)
        text = content.decode("utf-8")
        require_text(text, "the file")
        if text.strip():
            return Document(file=name, number=0, text=text)
        reason = "holds no text"
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        reason = f"not valid UTF-8 at byte {error.start + 1}"
    except NotARecord as error:
        reason = str(error)
    faults.append(LineFault(file=name, number=number, reason=reason))
    return None


def _of_object(record: Mapping[str, Any], file: str, number: int) -> Document:
    require_no_mistyped(record, _KEYS)
    if "text" not in record:
        raise NotARecord(f"missing key 'text'{keys_of(record)}")
    story, source = text_or_nothing(record, "story"), text_or_nothing(record, "source")
    if story and source:
        raise NotARecord("must have 'story' or 'source', got both")
    return Document(
        file=file,
        number=number,
        text=text_of(record["text"], "text"),
        id=text_or_nothing(record, "id"),
        slice=text_or_nothing(record, "slice"),
        story=story or source,
        split=split_named(record, (*PARTS, JUDGING)),
    )


def _contradictions(documents: list[Document]) -> Iterator[LineFault]:
    """Two documents of one id, and documents of one story in different splits."""
    names: dict[str, Document] = {}
    stories: dict[str, Document] = {}
    for each in documents:
        if each.id and (first := names.setdefault(each.id, each)) is not each:
            reason = f"the id '{each.id}' is that of {first.place}"
            yield LineFault(file=each.file, number=each.number, reason=reason)
        if each.story and (first := stories.setdefault(each.story, each)).split != each.split:
            reason = f"its story '{each.story}' is in another split in {first.place}"
            yield LineFault(file=each.file, number=each.number, reason=reason)
