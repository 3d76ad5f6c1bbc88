"""`ratchet data check`: what it finds in a file, what it says of it, and its exit code."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.load import ConfigError
from engine.preflight import self_check
from engine.preflight.data_check import Checked, asked_of, check, tokenizer_of
from engine.preflight.data_findings import of_scorer
from engine.preflight.self_check import SelfCheck
from engine.records import Fault, Problem, Verdict
from engine.tasks.records import problems_in
from engine.verify.verdicts import verdict_on
from tests.support.cli import ROOT, cli
from tests.support.proof_helpers import attempt
from tests.support.records_files import settings_of, sums, write_rows

STORY = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. Total?"
)


GSM8K = Path(__file__).parents[4] / "shared" / "data" / "gsm8k" / "train-500.jsonl"


def checked(file: Path, *keys: str) -> Checked:
    return check(asked_of([str(file), *keys]), None)


def found(result: Checked, section: str, what: str) -> str:
    (finding,) = [each for each in result.findings if (each.section, each.what) == (section, what)]
    return finding.found


def test_stories_with_formulas_are_checked_by_the_solver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be used is left out, not refused: published files are so."""
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path / "home"))
    rows = [
        {
            "premises": [f"Ann is a {i}."],
            "premises-FOL": [f"P{i}(ann)"],
            "conclusion": "So.",
            "conclusion-FOL": f"P{i}(ann)",
            "label": "True",
        }
        for i in range(80)
    ]
    rows[3] |= {"label": "False"}
    rows[4] |= {"premises-FOL": ["P4(ann) ∧ ¬P4(ann)"]}
    rows[5] |= {"conclusion-FOL": "P5(ann"}
    rows[6] |= {"premises-FOL": []}
    file = write_rows(tmp_path / "stories.jsonl", rows)
    result = checked(file, "name=folio")
    assert result.sound and result.num_records == 80
    assert found(result, str(file), "records") == "76 of 80 can be used"
    assert found(result, str(file), "formulas").startswith("157 of 158 formulas are parsed (99.4 %)")
    assert found(result, str(file), "labels").startswith("the solver finds 76 of 77 where it decides")
    assert [(each["reason"], each["place"].partition(", ")[2]) for each in result.left_out] == [
        ("label", "record 4"),
        ("contradictory", "record 5"),
        ("formula", "record 6"),
        ("unreadable", "record 7"),
    ]
    assert "column 7" in result.left_out[2]["why"]
    assert "train 3" in found(result, "splits", "parts")
    done = cli(tmp_path / "home", "data", "check", str(file), "name=folio", "--json")
    assert done.returncode == 0 and len(json.loads(done.stdout)["left_out"]) == 4
    broken = write_rows(tmp_path / "broken.jsonl", rows[3:7])
    assert failing(checked(broken, "name=folio")) == [f"{broken}: records"]


def failing(result: Checked) -> list[str]:
    return [f"{each.section}: {each.what}" for each in result.findings if not each.ok]


def test_a_sound_file_is_said_to_be_sound_and_what_its_gate_can_show(tmp_path: Path) -> None:
    result = checked(write_rows(tmp_path / "my.jsonl", sums(300)), "scorer=contains")
    assert result.sound and result.num_records == 300
    assert failing(result) == []
    assert found(result, "scorer", "contains, by the whole reply") == "300 of 300 gold replies pass"
    assert found(result, "scorer", "replies of other records") == "0 of 300 pass"
    (gate,) = [each for each in result.findings if each.section == "gate"]
    assert (
        "one test on all of them shows a gain of" in gate.found
        and "with 80 % power (level 0.05, " in gate.found
    )


def test_broken_lines_conflicts_and_repeats_are_listed_with_their_places(tmp_path: Path) -> None:
    rows = [*sums(60), {"prompt": "a?", "answer": 1}, {"prompt": "a?", "answer": 2}]
    file = write_rows(tmp_path / "my.jsonl", [*rows, sums(1)[0]])
    with file.open("a") as stream:
        stream.write('{"promt": "b", "answer": 1}\n{"prompt": "c", "answer": 1, "source": "x"}\n')
    result = checked(file)
    assert not result.sound and failing(result) == ["lines: broken or contradictory"]
    assert [(each["line"], each["reason"]) for each in result.faults] == [
        (64, "unknown key 'promt'; did you mean 'prompt'?"),
        (62, f"asks what {file}, line 61 asks, with another answer: '2' and '1'"),
    ]
    assert result.repeats == ((f"{file}, line 63", f"{file}, line 1"),)
    assert found(result, "lines", "keys not read") == "source (1)"


def test_answers_that_the_scorer_takes_for_one_are_no_conflict(tmp_path: Path) -> None:
    rows = [*sums(60), {"prompt": "a?", "answer": "Paris"}, {"prompt": "a?", "answer": "paris "}]
    file = write_rows(tmp_path / "my.jsonl", rows)
    result = checked(file)
    assert result.sound and result.repeats == ((f"{file}, line 62", f"{file}, line 61"),)
    assert found(result, "duplicates", "exact").startswith("1 repeat:\n")
    assert not checked(file, "scorer={name: exact, case: true}").sound


def test_replies_of_other_records_are_those_that_the_scorer_tells_apart(tmp_path: Path) -> None:
    """Yes and yes are one answer: such a reply passes rightly, and says nothing against the scorer."""
    answers = ("Yes", "yes", "No", "no")
    rows = [row | {"answer": answers[i % 4]} for i, row in enumerate(sums(120))]
    result = checked(write_rows(tmp_path / "my.jsonl", rows))
    assert result.sound and found(result, "scorer", "replies of other records") == "0 of 120 pass"


def test_one_of_anything_is_in_the_singular(tmp_path: Path) -> None:
    result = checked(write_rows(tmp_path / "my.jsonl", [{"prompt": "a", "answer": 1, "story": "s"}]))
    texts = [f"{each.what} {each.found}" for each in result.findings]
    assert "exact, by the whole reply 1 of 1 gold reply passes" in texts
    assert "prompts 1 character (median), at most 1 (" in "\n".join(texts)
    assert ", by 1 story: one of each" in "\n".join(texts)
    assert not [
        text for text in texts if re.search(r"\b1 (records|looks|stories|characters|replies)\b", text)
    ]
    assert "nothing for probe, gate, sealed" in next(
        each.remedy for each in result.findings if each.what == "parts"
    )


def test_fields_by_other_names_are_to_be_named(tmp_path: Path) -> None:
    rows = [{"question": f"{i}?", "solution": i} for i in range(60)]
    result = checked(write_rows(tmp_path / "my.jsonl", rows))
    (broken,) = [each for each in result.findings if each.what == "broken or contradictory"]
    assert broken.found.startswith("60 faults:\n")
    assert broken.remedy.startswith("if the fields have other names, name them: prompt=NAME answer=NAME")
    assert checked(tmp_path / "my.jsonl", "prompt=question", "answer=solution").num_records == 60


def test_what_is_kept_as_a_sentinel_is_no_part_and_must_suffice_for_its_margin(tmp_path: Path) -> None:
    rows = [row | ({"split": "sentinel"} if i < 40 else {}) for i, row in enumerate(sums(340))]
    file = write_rows(tmp_path / "my.jsonl", rows)
    result = checked(file)
    assert found(result, "splits", "parts").endswith(", sentinel 40") and result.sound
    assert "never learnt; a harmless model passes with a chance of 21 % (40 requests, drop under 5 %" in (
        found(result, "sentinels", "40 records")
    )
    config = ["configs/records.yaml", f"task.file={file}", "task.scorer=exact"]
    few = check(asked_of(config), None)
    assert failing(few) == ["sentinels: 40 records"]
    assert check(asked_of([*config, "gate.sentinels.margin=0.2"]), None).sound


def test_a_near_duplicate_of_a_sentinel_must_not_be_learnt(tmp_path: Path) -> None:
    twin = STORY.replace("then she", "she then")
    rows = [{"prompt": STORY, "answer": 72, "split": "train"}, {"prompt": twin, "answer": 72}]
    for split, leaks in (("sentinel", 1), ("train", 0)):
        mine = [*sums(80), rows[0], rows[1] | {"split": split}]
        assert len(checked(write_rows(tmp_path / f"{split}.jsonl", mine)).leaks) == leaks


def test_near_duplicates_that_cross_from_learning_to_judging_must_be_mended(tmp_path: Path) -> None:
    twin = STORY.replace("then she", "she then")
    rows = [*sums(80), {"prompt": STORY, "answer": 72, "split": "train"}]
    crossing = checked(
        write_rows(tmp_path / "a.jsonl", [*rows, {"prompt": twin, "answer": 72, "split": "gate"}])
    )
    places = (f"{tmp_path / 'a.jsonl'}, line 81", f"{tmp_path / 'a.jsonl'}, line 82")
    assert crossing.leaks == (places,) and crossing.near[0][:2] == places
    assert failing(crossing) == ["duplicates: leaks between splits"]
    beside = checked(
        write_rows(tmp_path / "b.jsonl", [*rows, {"prompt": twin, "answer": 72, "split": "train"}])
    )
    assert beside.sound and len(beside.near) == 1 and beside.leaks == ()


def test_near_duplicates_with_other_answers_are_other_questions(tmp_path: Path) -> None:
    """One word makes another sum, or another country; of one answer, two questions are one."""
    teens = ["fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", *teens]
    rows = [
        {"prompt": f"What is {one} plus {other}?", "answer": words.index(one) + words.index(other)}
        for place, one in enumerate(words)
        for other in words[place:]
    ]
    capitals = [
        {"prompt": f"What is the capital of {name}?", "answer": i, "split": part}
        for i, (name, part) in enumerate((("Niger", "train"), ("Nigeria", "gate")))
    ]
    result = checked(write_rows(tmp_path / "sums.jsonl", [*rows, *capitals]), "scorer=numeric")
    assert result.sound and result.leaks == () and len(result.near) > 10
    apart = found(result, "duplicates", "leaks between splits")
    assert apart.startswith("none\n") and apart.endswith(" more pairs with other answers: other questions")
    capitals[1]["answer"] = 0
    result = checked(write_rows(tmp_path / "sums.jsonl", [*rows, *capitals]), "scorer=numeric")
    assert len(result.leaks) == 1 and failing(result) == ["duplicates: leaks between splits"]


def test_label_conflicts_do_not_hide_behind_a_capital_or_a_point(tmp_path: Path) -> None:
    asked = ("Which city is the capital of France?", "which city is the capital of france")
    rows = [
        *sums(80),
        *({"prompt": prompt, "answer": answer} for prompt, answer in zip(asked, ("A", "B"), strict=True)),
        *({"prompt": prompt, "answer": i} for i, prompt in enumerate(("(1 + 2) * 3", "1 + (2 * 3)"))),
        *({"prompt": prompt, "answer": i} for i, prompt in enumerate(("What is 5!", "What is 5?"))),
    ]
    file = write_rows(tmp_path / "my.jsonl", rows)
    result = checked(file)
    assert failing(result) == ["duplicates: label conflicts"]
    assert result.conflicts == (
        {
            "place": f"{file}, line 82",
            "answer": "B",
            "other_place": f"{file}, line 81",
            "other_answer": "A",
        },
    )
    rows[81]["answer"] = "a."
    assert checked(write_rows(file, rows)).sound, "the scorer takes both answers for one"


def test_gold_that_its_scorer_does_not_pass_must_be_mended(tmp_path: Path) -> None:
    rows = [row | {"answer": f"{row['answer']}."} for row in sums(40)]
    rows += [{"prompt": "a?", "answer": "not 5", "id": "bad"}]
    scorer = "scorer={name: exact, find: {after: 'Answer:'}}"
    result = checked(write_rows(tmp_path / "my.jsonl", rows), scorer)
    assert failing(result) == ["scorer: exact, by what follows the last 'Answer:' in its line"]
    assert len(result.refused) == 41
    assert result.refused[-1]["place"] == f"{tmp_path / 'my.jsonl'}, line 41"
    assert "no answer was found" in result.refused[-1]["reason"]


def test_every_gold_reply_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check, "MOST_OTHERS", 30)
    rows = [*sums(40), {"prompt": "a?", "answer": "1.2.3"}]
    result = checked(write_rows(tmp_path / "my.jsonl", rows), "scorer=numeric")
    assert found(result, "scorer", "numeric, by the last number").startswith("40 of 41 gold replies pass")
    assert found(result, "scorer", "replies of other records") == "0 of 30 pass"


def test_a_record_has_another_ones_reply_however_many_there_are(tmp_path: Path) -> None:
    settings = settings_of(write_rows(tmp_path / "my.jsonl", sums(7919)))
    problems = problems_in(settings)
    for num in (2, 7907, 7919):
        other = self_check._other(settings.scorer, problems[0], problems[:num], 0)
        assert other and other.gold != problems[0].gold


@pytest.mark.skipif(not GSM8K.exists(), reason="the public records are not here")
def test_gsm8k_reads_as_the_readme_says() -> None:
    page = (ROOT / "engine" / "tasks" / "README.md").read_text()
    (line,) = [
        line for line in page.splitlines() if line.startswith("task: {name: records, file: train.jsonl")
    ]
    keys = {key: value for key, value in yaml.safe_load(line)["task"].items() if key != "file"}
    result = checked(GSM8K, *(f"{key}={json.dumps(value)}" for key, value in keys.items()))
    assert result.sound and result.num_records == 500
    assert found(result, "scorer", "numeric, by the last number") == "500 of 500 gold replies pass"


def test_a_pipe_is_read_once() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w") as end:
        end.writelines(json.dumps(row) + "\n" for row in sums(300))
    result = checked(Path(f"/dev/fd/{read}"), "scorer=contains")
    os.close(read)
    assert result.num_records == 300 and "train " in found(result, "splits", "parts")


def test_a_scorer_that_lets_other_answers_through_must_be_mended(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def grade(reply, answers):\n    return True\n")
    file = write_rows(tmp_path / "my.jsonl", sums(60))
    result = checked(file, f"scorer={tmp_path / 'own.py'}:grade")
    assert failing(result) == ["scorer: replies of other records"]
    assert len(result.let_through) == 60


def test_what_could_not_be_judged_or_shown_must_be_mended(tmp_path: Path) -> None:
    few = write_rows(tmp_path / "few.jsonl", sums(8))
    assert "gate: " in " ".join(failing(checked(few, "scorer=exact")))
    alike = write_rows(tmp_path / "alike.jsonl", [row | {"answer": "A"} for row in sums(300)])
    assert failing(checked(alike, "scorer=exact")) == ["scorer: replies of other records"]
    patterns = write_rows(tmp_path / "patterns.jsonl", [row | {"answer": "("} for row in sums(300)])
    result = checked(patterns, "scorer=regex")
    assert failing(result) == ["scorer: regex"] and "line 1: the answer is no regular expression" in found(
        result, "scorer", "regex"
    )


def test_what_waits_for_broken_lines_to_be_mended_is_said(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "my.jsonl", sums(60))
    file.write_text(file.read_text() + "{\n" * 9)
    result = checked(file)
    assert "when these lines are mended" in found(result, "lines", "not checked yet")
    assert "… and 4 more: --json has all" in found(result, "lines", "broken or contradictory")


@pytest.mark.parametrize(("name", "what"), [("none.jsonl", "does not exist"), ("", "is a directory")])
def test_no_file_is_a_mistake_and_no_empty_table(tmp_path: Path, name: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        asked_of([str(tmp_path / name)])


def test_a_config_is_checked_with_its_own_numbers(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "my.jsonl", sums(300))
    asked = asked_of(["configs/records.yaml", f"task.file={file}", "task.scorer=exact"])
    assert asked.config is not None
    result = check(asked, None)
    (gate,) = [each for each in result.findings if each.section == "gate"]
    looks, size = asked.gate.looks, asked.gate.look_size
    assert f"{looks} looks of {size}" in gate.found


def test_lengths_are_counted_by_a_tokenizer_where_there_is_one(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    counts = Tokenizer(models.WordLevel({"word": 0, "[UNK]": 1}, unk_token="[UNK]"))
    counts.pre_tokenizer = pre_tokenizers.Whitespace()
    counts.save(str(tmp_path / "tokenizer.json"))
    rows = [*sums(60), {"prompt": "word " * 900, "answer": "word " * 300}]
    asked = asked_of([str(write_rows(tmp_path / "my.jsonl", rows))])
    result = check(asked, tokenizer_of(tmp_path, tmp_path))
    assert failing(result) == ["lengths: prompts", "lengths: gold replies"]
    assert "1 is longer than 708, which is left by sampler.max_model_len" in found(
        result, "lengths", "prompts"
    )
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 512}')
    result = check(asked, tokenizer_of(tmp_path, tmp_path))
    assert (
        "1 is longer than 196, which is left by the model's own context (max_position_embeddings)"
        in found(result, "lengths", "prompts")
    )
    assert tokenizer_of(None, tmp_path) is None
    with pytest.raises(ConfigError, match="must be a directory with a tokenizer.json"):
        tokenizer_of(tmp_path / "none", tmp_path)


def test_lengths_are_those_of_a_configs_prompts_and_trainings(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    counts = Tokenizer(models.WordLevel({"word": 0, "[UNK]": 1}, unk_token="[UNK]"))
    counts.pre_tokenizer = pre_tokenizers.Whitespace()
    counts.save(str(tmp_path / "tokenizer.json"))
    rows = [*sums(60), {"prompt": "word " * 400, "answer": "word " * 100}]
    file = write_rows(tmp_path / "my.jsonl", rows)

    def lengths(*overrides: str) -> list[str]:
        config = ["configs/records.yaml", f"task.file={file}", "task.scorer=exact", *overrides]
        result = check(asked_of(config), tokenizer_of(tmp_path, tmp_path))
        return [each.what for each in result.findings if each.section == "lengths" and not each.ok]

    room = ("warm_start.train.max_length=1024", "loop.train.max_length=600")
    assert lengths() == ["rows of training"]
    assert lengths(*room) == []
    assert lengths(*room, f"system={'word ' * 500}") == ["prompts", "rows of training"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "takes a file of records or texts, or a config that names one; got none"),
        (["scorer=exact"], "takes a file of records or texts, or a config that names one; got none"),
        (["a.yaml", "b.jsonl"], "one config is checked at a time, got a.yaml and b.jsonl"),
        (
            ["configs/quickstart.yaml"],
            "configs/quickstart.yaml: task.name must be records, text or folio, got prontoqa",
        ),
        (["a.jsonl", "scorer=exat"], "task: scorer.name must be 'exact', "),
        (["a.jsonl", "scoer=exact"], "task: unknown key scoer; did you mean scorer?"),
        (["a.md", "scorer=exact"], "task: unknown key scorer; allowed here: name, files, words, divide"),
        (["a.jsonl", "name=text", "words=3"], "task: words must be greater than or equal to 20, got 3"),
    ],
)
def test_a_mistake_is_a_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        asked_of(arguments)
    assert sentence in str(error.value)


def test_texts_are_looked_through_without_a_scorer(tmp_path: Path) -> None:
    page = ROOT / "engine" / "tasks" / "README.md"
    result = check(asked_of([str(page), "divide=passages", "words=40"]), None)
    assert {each.section for each in result.findings} == {"lines", "duplicates", "splits", "lengths", "gate"}
    assert found(result, "lines", "passages") == str(result.num_records) and result.num_records > 60
    assert "passages of less than 8 words are left out" in found(result, "lines", "documents")
    (gate,) = [each for each in result.findings if each.section == "gate"]
    assert " % of passages became likelier with 80 % power (level 0.05, " in gate.found

    rows = [{"text": f"{STORY} It was asked in {year} for the first time.", "story": "a"} for year in (1, 2)]
    crossing = write_rows(
        tmp_path / "a.jsonl",
        [row | {"story": part, "split": part} for row, part in zip(rows, ("train", "gate"), strict=True)],
    )
    twins = check(asked_of([str(crossing), "name=text"]), None)
    assert not twins.leaks, "other numbers make another text"
    crossing.write_text(crossing.read_text().replace("in 2 for", "in 1 about"))
    twins = check(asked_of([str(crossing), "name=text"]), None)
    assert len(twins.leaks) == 1 and "duplicates: leaks between splits" in failing(twins)
    assert "splits: parts" in failing(twins), "two documents do not fill four parts"

    broken = tmp_path / "broken.txt"
    broken.write_bytes(b"caf\xe9")
    told = check(asked_of([str(broken)]), None)
    assert not told.sound and told.faults[0]["reason"] == "not valid UTF-8 at byte 4"


def test_passages_longer_than_what_a_model_reads_must_be_mended(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    counts = Tokenizer(models.WordLevel({"word": 0, "[UNK]": 1}, unk_token="[UNK]"))
    counts.pre_tokenizer = pre_tokenizers.Whitespace()
    counts.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "a.txt").write_text("word " * 1_500)
    asked = asked_of([str(tmp_path / "a.txt"), "words=1500"])
    result = check(asked, tokenizer_of(tmp_path, tmp_path))
    assert "lengths: passages" in failing(result)
    assert "1 is longer than 1023, which is left by sampler.max_model_len" in found(
        result, "lengths", "passages"
    )


@pytest.mark.parametrize(("rows", "code"), [(sums(120), 0), ([{"prompt": "a"}], 1)])
def test_the_exit_code_says_whether_something_must_be_mended(
    tmp_path: Path, rows: list[dict[str, Any]], code: int
) -> None:
    file = write_rows(tmp_path / "my.jsonl", rows)
    done = cli(tmp_path / "home", "data", "check", str(file), "--json")
    assert done.returncode == code, done.stderr
    told = json.loads(done.stdout)
    assert told["sound"] is (code == 0)
    assert bool(told["faults"]) is (code == 1)


def test_text_of_a_file_cannot_steer_a_terminal(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "my.jsonl", [{"prompt": "\x1b[2J", "answer": "a", "\x1b[31m": 1}])
    done = cli(tmp_path / "home", "data", "check", str(file))
    assert "\x1b" not in done.stdout + done.stderr


def test_the_threshold_of_a_graded_scorer_lies_between_other_replies_and_alternatives(tmp_path: Path) -> None:
    settings = settings_of(write_rows(tmp_path / "my.jsonl", sums(1)), scorer="semantic")
    (problem,) = problems_in(settings)

    def graded(*grades: float) -> tuple[tuple[Problem, Verdict], ...]:
        passed = verdict_on(problem, attempt(""), verifier="semantic", answer="", fault=Fault.NONE, reason="")
        return tuple((problem, replace(passed, grade=grade)) for grade in grades)

    others, same = graded(*(number / 200 for number in range(100))), graded(0.7, 0.8, 0.9)
    tested = SelfCheck(gold=graded(1.0), shuffled=others, alternatives=same)
    (finding,) = [each for each in of_scorer(settings, tested) if each.what == "threshold between"]
    assert finding.found == (
        "99 % of the replies of other records have a similarity of at most 0.49, 95 % of alternative answers "
        "at least 0.70"
    )


def test_no_engine_is_loaded_to_look_through_a_file(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "my.jsonl", sums(60))
    code = (
        "import sys, ratchet\n"
        f"sys.argv = ['ratchet', 'data', 'check', {str(file)!r}]\n"
        "try: ratchet.main()\n"
        "except SystemExit: pass\n"
        "print('LOADED', sorted({'ray', 'torch', 'transformers', 'vllm', 'trl'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "LOADED []", done.stdout + done.stderr
