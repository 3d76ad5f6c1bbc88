"""What an experiment says in sentences: its conclusion, what else was seen, and what each arm taught.

Sentences are made of findings alone, so that the log, the page and the terminal say the same.
"""

from collections.abc import Iterator
from itertools import combinations

from configs.experiment import NONE
from engine.terminal import counted
from tune.arms import weak_slices
from tune.effects import Effect
from tune.evidence import ALL, Evidence
from tune.findings import Findings
from tune.ground import CHAMPION
from tune.words import UNITS, Unit, basis_text, difference_text, lacking, number, saving

_UNEQUAL = 0.02
"""Share by which learnt tokens of arms may differ before it is said."""


def headline(evidence: Evidence, found: Findings) -> str:
    """The verdict with the difference that it rests on."""
    settings = evidence.design.settings
    judged = found.judged(settings.treated, settings.control)
    arms = f"{settings.treated} against {settings.control}"
    if judged is None:
        return f"Undecided: no seed has finished in both {settings.treated} and {settings.control}"
    head = _head(evidence, found, judged.unit)
    return f"{head}: {arms} on {found.where}: {difference_text(judged.effect, judged.unit)}"


def conclusion(evidence: Evidence, found: Findings) -> str:
    """What the experiment shows of its hypothesis: the headline, what it rests on, and the data ratio."""
    settings = evidence.design.settings
    said = headline(evidence, found)
    judged = found.judged(settings.treated, settings.control)
    ratio = found.saving(settings.treated, found.primary)
    if judged:
        said += f"; {basis_text(judged.effect)}"
    return f"{said}. Data ratio at equal scores: {saving(ratio)}." if ratio else f"{said}."


def _head(evidence: Evidence, found: Findings, unit: Unit) -> str:
    """The verdict, and what an undecided one lacks."""
    settings = evidence.design.settings
    if not evidence.is_over(settings.treated, settings.control):
        return "Not concluded yet"
    if evidence.is_one(settings.treated, settings.control):
        return "Undecided (both arms learnt the very same, so this is no test)"
    failed = [_failed(evidence, arm) for arm in (settings.treated, settings.control) if evidence.failed(arm)]
    if failed:
        return f"Undecided ({' and '.join(failed)} failed, and what is left is a selection)"
    if found.verdict == "supported":
        return "Supported"
    if found.verdict == "not supported":
        return f"Not supported (less than the {number(settings.matters, unit, '')} {UNITS[unit]} that matter)"
    more = lacking(found.more_seeds, found.more_problems)
    return f"Undecided ({more})" if more else "Undecided"


def _failed(evidence: Evidence, arm: str) -> str:
    return f"{len(evidence.failed(arm))} of {counted(evidence.design.settings.seeds, 'seed')} of {arm}"


def observations(evidence: Evidence, found: Findings) -> list[str]:
    """What else was seen, a sentence each."""
    return [
        *_ground(evidence),
        *_unaimed(evidence),
        *_alike(evidence),
        *_elsewhere(evidence, found),
        *_noise(found),
        *_unequal(evidence),
    ]


def lessons(evidence: Evidence, found: Findings) -> list[str]:
    """What every arm but the control taught, also those that were refused."""
    settings = evidence.design.settings
    sentences = []
    for arm in settings.arms:
        if arm == settings.control:
            continue
        seen = found.judged(arm, settings.control)
        if seen is None:
            sentences.append(f"{arm}: no seed has finished in both it and {settings.control}.")
            continue
        ratio = found.saving(arm, found.primary)
        data = f", data ratio {saving(ratio)}" if ratio else ""
        text = f"{arm} against {settings.control} on {found.where}: {difference_text(seen.effect, seen.unit)}"
        sentences.append(f"{text}{data}: {_shown(seen.effect)}.")
    return sentences


def _shown(effect: Effect) -> str:
    if effect.both.low > 0:
        return "shown better"
    return "shown worse" if effect.both.high < 0 else "not shown to differ"


def _ground(evidence: Evidence) -> Iterator[str]:
    weak, ground = weak_slices(evidence.ground.weaknesses), evidence.ground
    probed = counted(ground.num_probed, "problem" if evidence.unit == "share" else "passage")
    found = f" ({counted(ground.num_found, 'slice')} were found among them)" if ground.num_found else ""
    if weak:
        # The name of a slice that was found is a list of words.
        listed = ("; " if ground.num_found else ", ").join(weak)
        yield f"The champion is weak in {listed}, mined on {probed} of their own{found}."
    elif not ground.num_probed:
        yield f"Nothing was mined: arms are compared on {ALL}."
    else:
        yield f"No slice of the champion is weak on {probed}{found}: arms are compared on {ALL}."


def _unaimed(evidence: Evidence) -> Iterator[str]:
    """Arms that aim, where they had nothing to aim at."""
    for arm in evidence.design.settings.arms:
        aiming = [each.learnt for each in evidence.of(arm).values() if each.learnt and each.learnt.aims]
        if num := sum(not each.aimed_at for each in aiming):
            yield f"{arm} found no weak slice to aim at in {num} of {counted(len(aiming), 'seed')}."


def _alike(evidence: Evidence) -> Iterator[str]:
    """Arms that differ by name, and not by what they learnt."""
    for one, other in combinations(evidence.design.settings.arms, 2):
        if seeds := evidence.alike(one, other):
            of = counted(len(evidence.of(one).keys() & evidence.of(other).keys()), "seed")
            yield f"{one} and {other} learnt the very same in {len(seeds)} of {of}."


def _elsewhere(evidence: Evidence, found: Findings) -> Iterator[str]:
    """The treatment on everything, and every loss of any arm that is shown."""
    settings = evidence.design.settings
    everywhere = found.of(settings.treated, "all", settings.control)
    if found.primary != "all" and everywhere:
        seen = difference_text(everywhere.effect, everywhere.unit)
        yield f"{settings.treated} against {settings.control} on {ALL}: {seen}: {_shown(everywhere.effect)}."
    for each in found.comparisons:
        if each.against == CHAMPION and each.kind != "slice" and each.effect.both.high < 0:
            place = f"sentinel {each.where}" if each.kind == "sentinel" else each.where
            lost = difference_text(each.effect, each.unit)
            yield f"{each.arm} lost against the champion on {place}: {lost}."


def _noise(found: Findings) -> Iterator[str]:
    """How often single trials would have been shown better than the champion, where they should not be."""
    for arm in (NONE, "placebo"):
        trials = [each for each in found.against_champion if each.arm == arm]
        if trials:
            counts = [each.won + each.lost for each in trials]
            yield (
                f"{arm}: {counted(len(trials), 'trial')} against the champion on {ALL}: {min(counts)} to "
                f"{max(counts)} problems differ, {sum(each.shown for each in trials)} shown better."
            )


def _unequal(evidence: Evidence) -> Iterator[str]:
    """Where arms did not learn equally much."""
    tokens = {
        arm: [trial.num_tokens for trial in evidence.of(arm).values() if trial.learnt]
        for arm in evidence.design.settings.arms
    }
    means = {arm: sum(nums) / len(nums) for arm, nums in tokens.items() if nums}
    if means and max(means.values()) > (1 + _UNEQUAL) * min(means.values()):
        listed = ", ".join(f"{arm} {mean:,.0f}" for arm, mean in means.items())
        why = "Rows are learnt whole, so arms learnt not quite"
        if evidence.design.settings.learnt_tokens is None:
            why = "Arms learnt all that they proposed, which is not"
        yield f"{why} equally many tokens over all epochs: {listed}."
    for arm in evidence.design.settings.arms:
        trials = [trial.challenger for trial in evidence.of(arm).values() if trial.challenger]
        if num := sum(each.stopped_early for each in trials):
            yield f"{arm} stopped early in {num} of {counted(len(trials), 'seed')}."
