"""Slices that are found, for a task that names none: problems whose texts are alike, by their embeddings.

They are tested like any slice (`engine/measure/mine.py`), on the very problems that they were found among.
That keeps Fisher's test exact: the clusters depend on the texts alone, never on an outcome, and given the
texts the test asks whether failures fall into one part of them more often than chance would have it, whatever
the parts are. Fresh problems belong to the cluster whose centre is nearest. Short questions of one form are
near each other too, whatever they are about.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from engine.embeddings import Embed
from engine.records import Cluster, Problem

_SIZE, _MOST = 12, 40
"""Problems of a cluster on average, and clusters at the most, where nobody says how many are looked for."""
_STARTS = 10
"""K-means keeps the best of so many."""
_DIGITS = 6
"""Decimal digits of a centre."""
_WORDS = 3
"""Words of a name, and more where they name another cluster too."""
_WORD = re.compile(r"\b[^\W\d_]{2,24}\b")


def usual_number(num_problems: int) -> int:
    """How many clusters are looked for among so many problems; 0 where these are too few for two."""
    num = min(num_problems // _SIZE, _MOST)
    return num if num > 1 else 0


class Clusters:
    """The slices found among some texts.

    `found` is what a stage keeps, so that a resumed round assigns fresh problems as it would have before.
    """

    def __init__(self, found: Sequence[Cluster], embed: Embed) -> None:
        self.found = tuple(found)
        self._embed = embed

    @staticmethod
    def of(texts: Sequence[str], num: int, embed: Embed, seed: int) -> "Clusters":
        """Up to `num` clusters of `texts`: fewer where fewer texts differ.

        Source: k-means with k-means++ starts (Arthur and Vassilvitskii 2007), on embeddings of length 1.
        """
        import numpy as np
        from sklearn.cluster import KMeans

        rows = np.asarray(embed(texts), dtype=np.float64)
        most = len(np.unique(rows, axis=0))
        means = KMeans(min(num, most), n_init=_STARTS, random_state=seed % 2**32).fit(rows)
        labels = means.labels_.tolist()
        names = _names(texts, labels)
        centres = means.cluster_centers_.round(_DIGITS).tolist()
        places = {label: tuple(i for i, own in enumerate(labels) if own == label) for label in names}
        return Clusters(
            [
                Cluster(name=names[label], centre=tuple(centres[label]), places=places[label])
                for label in sorted(names)
            ],
            embed,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """One for each cluster, all different: its most typical words."""
        return tuple(cluster.name for cluster in self.found)

    def assign(self, texts: Sequence[str]) -> list[str]:
        """The name of each text's cluster."""
        import numpy as np

        if not texts:
            return []
        centres = np.array([cluster.centre for cluster in self.found])
        nearness = np.asarray(self._embed(texts)) @ centres.T - (centres**2).sum(axis=1) / 2
        return [self.names[index] for index in nearness.argmax(axis=1)]

    def sliced(self, problems: Sequence[Problem]) -> list[Problem]:
        """The problems, each with its cluster as its slice."""
        names = self.assign([problem.text for problem in problems])
        return [replace(problem, slice=name) for problem, name in zip(problems, names, strict=True)]

    def of_found(self, problems: Sequence[Problem]) -> list[Problem]:
        """The very problems that the clusters were found among, as `sliced`, without embedding them again."""
        names = {place: cluster.name for cluster in self.found for place in cluster.places}
        return [replace(problem, slice=names[place]) for place, problem in enumerate(problems)]


def _names(texts: Sequence[str], labels: Sequence[int]) -> dict[int, str]:
    """A name for each label: the words that are frequent in its texts and rare in the others.

    Names hold letters alone, whatever the texts hold. Source: class-based TF-IDF, as in BERTopic
    (Grootendorst 2022), without English stop words and without what more than half of all texts say, which
    is how a task asks.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    words = [_WORD.findall(text.casefold()) for text in texts]
    texts_with = Counter(word for each in words for word in set(each))
    silent = ENGLISH_STOP_WORDS | {word for word, num in texts_with.items() if num > len(texts) / 2}
    counts: dict[int, Counter[str]] = {label: Counter() for label in sorted(set(labels))}
    for each, label in zip(words, labels, strict=True):
        counts[label].update(word for word in each if word not in silent)
    overall: Counter[str] = sum(counts.values(), Counter())
    mean = overall.total() / len(counts)

    names: dict[int, str] = {}
    for label, own in counts.items():
        weight = {word: count * math.log(1 + mean / overall[word]) for word, count in own.items()}
        typical = sorted(weight, key=lambda word: (-weight[word], word))
        tried = [", ".join(typical[:size]) for size in range(_WORDS, len(typical) + 1)] or [
            ", ".join(typical)
        ]
        free = [name for name in tried if name and name not in names.values()]
        names[label] = free[0] if free else f"{tried[-1] or 'cluster'} {label + 1}"
    return names
