"""Memories, of which one at most holds for a person and an attribute."""

from engine.memory.book import Book, memory_id, person_key
from engine.memory.recollect import replaced_by
from engine.records import Fact, Statement

OSLO, BERGEN = (Fact(subject="Ann Reed", attribute="home", value=value) for value in ("Oslo", "Bergen"))


def said(fact: Fact, turn: int = 3) -> Statement:
    return Statement(fact=fact, dialogue="d1", turn=turn, text=fact.value, found_by="rule")


def test_a_memory_names_its_fact_and_where_it_was_said() -> None:
    book = Book([])
    memory = book.store(OSLO, said(OSLO), 7, 2)
    assert memory.id == memory_id(OSLO) != memory_id(BERGEN)
    assert (memory.dialogue, memory.turn, memory.day, memory.importance) == ("d1", 3, 2, 7)
    assert book.find("ann  REED", "home") == book.by_id(memory.id) == memory
    assert not book.find("Anna Reed", "home") and not book.find("Ann Reed", "job")


def test_what_is_replaced_stays_and_is_marked() -> None:
    book = Book([])
    first, second = (book.store(fact, said(fact), 7, day) for day, fact in enumerate((OSLO, BERGEN), 1))
    old, new = book.memories
    assert (old.id, old.superseded_by) == (first.id, second.id)
    assert (new.id, new.supersedes, new.superseded_by) == (second.id, first.id, "")
    assert book.find("Ann Reed", "home") == new and book.about("Ann Reed") == [new]
    assert book.replaced(OSLO) == old and not book.replaced(BERGEN)
    # The next day reads it back.
    assert Book(book.memories).find("Ann Reed", "home") == new


def test_a_value_that_comes_back_is_another_memory() -> None:
    book = Book([])
    for day, fact in enumerate((OSLO, BERGEN, OSLO), 1):
        book.store(fact, said(fact, turn=day), 7, day)
    first, bergen, oslo = book.memories
    assert (first.day, first.turn, first.superseded_by) == (1, 1, bergen.id)
    assert (oslo.day, oslo.turn, oslo.superseded_by) == (3, 3, "") and bergen.superseded_by == oslo.id
    assert book.find("Ann Reed", "home") == oslo and first.id != oslo.id
    assert replaced_by(oslo, {memory.id: memory for memory in book.memories}) == [bergen, first]
    again = Book(book.memories)
    for day, fact in enumerate((BERGEN, OSLO), 4):
        again.store(fact, said(fact), 7, day)
    assert len({memory.id for memory in again.memories}) == 5


def test_of_several_that_held_at_once_none_holds_beside_another() -> None:
    both = [Book([]).store(fact, said(fact), 7, 1) for fact in (OSLO, BERGEN)]  # as without judging
    book = Book(both)
    new = book.store(BERGEN, said(BERGEN), 7, 2)
    assert [memory for memory in book.memories if not memory.superseded_by] == [new]


def test_relatives_are_found_by_name() -> None:
    book, fact = Book([]), Fact(subject="Ann Reed", attribute="spouse", value="Tom Vale")
    memory = book.store(fact, said(fact), 9, 1)
    assert book.relating("spouse", "tom vale") == [memory] and not book.relating("child", "Tom Vale")
    assert book.people == ["Ann Reed"]


def test_a_person_of_a_like_name_is_another_person() -> None:
    assert person_key("Ann  Reed") == person_key("ANN REED")
    assert len({person_key(name) for name in ("Ann Reed", "Anna Reed", "Ann Read", "Ann", "Án Reed")}) == 5
