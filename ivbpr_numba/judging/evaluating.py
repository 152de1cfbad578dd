"""A network judged on labelled photos, or on the feature file that was made with it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, did_you_mean, parameter
from ivbpr_numba.events import Observer
from ivbpr_numba.features.features import Features
from ivbpr_numba.ids import Ids, encode_ids
from ivbpr_numba.judging.assessment import assess
from ivbpr_numba.network.file import Network, NetworkSession
from ivbpr_numba.network.format import PROBABILITIES
from ivbpr_numba.network.vocabulary import Vocabulary
from ivbpr_numba.photos.pictures import Pictures, pixels_of
from ivbpr_numba.photos.preprocessing import Preprocessing
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.training.labels import Labels, read_labels
from ivbpr_numba.training.listed import named_by_path
from ivbpr_numba.training.splitting import PARTS, part_of

__all__ = ["Judged", "chosen_vocabulary", "evaluate", "recorded_parts"]

BATCH = 32
SPLITS = ("all", *PARTS)


@dataclass(frozen=True)
class Judged:
    """Probabilities beside labels.

    Attributes
    ----------
    probabilities : ndarray of float32, shape (n, F)
        Means over the photos of an item.
    labels : Labels
        (n,)
    training : Labels or None
        Of the items that the network was trained on, where its record tells.
    facts : dict
        What was run and what was left out, for people.
    """

    probabilities: np.ndarray
    labels: Labels
    training: Labels | None
    facts: dict[str, Any] = field(default_factory=dict)

    def assessment(self) -> dict[str, Any]:
        """See `assessment.assess`."""
        return assess(self.probabilities, self.labels, self.labels.vocabulary, self.training)


def evaluate(
    network: Network,
    labels: PathLike,
    *,
    images: Pictures | None = None,
    features: Features | None = None,
    id_column: str | None = None,
    groups: Sequence[str] = (),
    tags: Sequence[str] = (),
    split: str = "all",
    device: str = "auto",
    threads: int | None = None,
    progress: Observer | None = None,
) -> Judged:
    """Give every labelled item its probabilities.

    Parameters
    ----------
    network : Network
        With a vocabulary.
    labels, id_column : path, str
        See `labels.read_labels`.
    images : Pictures, optional
        Photos to run the network on.
    features : Features, optional
        Instead of photos: the file that was extracted with this network.
    groups, tags : sequence of str
        What to judge, as `labels.read_labels` takes it; all groups of the network where neither is given.
    split : str
        ``all``, or one part of the split in the network's record.
    device, threads
        See `Network.session`.
    progress : callable, optional
        Called with ``{"step": …}`` and ``{"done": n, "total": N}``.

    Raises
    ------
    UsageError
        A network without vocabulary, a group it doesn't know, a part although no split is recorded.
    DataError
        No photo that can be used has a label, the labels lack a column, or the features are another
        network's.
    """
    if (images is None) == (features is None):
        raise UsageError(
            "Judge photos or a feature file.",
            f"Name one of {parameter('images')} and {parameter('features')}.",
        )
    if split not in SPLITS:
        hint = did_you_mean(split, SPLITS) or f"Use {', '.join(SPLITS)}."
        raise UsageError(f"Unknown split '{split}'.", hint)
    vocabulary, read_groups, read_tags = chosen_vocabulary(network, groups, tags)
    if split != "all" and not network.record.get("split"):
        raise UsageError(
            f"'{network.path}' records no split, so nobody can tell its '{split}' images.",
            f"Use {parameter('split', 'all')}, with images that it was not trained on.",
        )
    columns = _columns(network, features, vocabulary) if features is not None else None
    read = read_labels(labels, id_column, read_groups, read_tags)
    if images is not None and read.by_path:
        images = named_by_path(images, read.items)
    known = np.any([read.known(k) for k in range(len(read.values))], axis=0)
    shown = _items_of(images, features)
    where = images.rows_in(read.items) if images is not None else read.items.find(shown)
    having = known.copy()
    having[np.setdiff1d(np.arange(len(read)), where)] = False
    rows = np.flatnonzero(having)
    parts = recorded_parts(network, read.items)
    training = None
    if parts is not None:
        learned = np.flatnonzero(having & (parts == 0))
        training = read.take(learned).onto(vocabulary) if len(learned) else None
        if split != "all":
            rows = rows[parts[rows] == PARTS.index(split)]
    if len(rows) == 0:
        raise _nothing(shown, read.items, having, labels, split)
    facts: dict[str, Any] = {
        "split": split,
        "items_without_image": int(np.count_nonzero(known & ~having)),
        "images_without_label": int(np.count_nonzero((where < 0) | ~known[where])),
    }
    if images is not None:
        seen = np.full(len(read) + 1, -1, dtype=np.int64)  # the last place is for images of unknown items
        seen[rows] = np.arange(len(rows))
        found, ok, run = _run(network, images, seen[where], len(rows), device, threads, progress)
        facts |= {**run, "others": images.others, "notes": images.notes}
        if not ok.any():
            reason = run["bad"][0]["reason"]
            raise DataError(
                f"None of the {len(ok):,} labelled images can be used: {reason}.", "Look at them."
            )
        found, rows = found[ok][:, _positions(network, vocabulary)], rows[ok]
    else:
        assert features is not None
        found = features.values(features.items.find(read.items.values[rows]))[:, columns]
        facts |= {"images": len(rows), "bad": [], "provider": None, "device_reason": None}
        facts |= {"others": [], "notes": []}
    kept = read.take(rows).onto(vocabulary)
    facts |= {"items": len(rows), "other_values": kept.report["other_values"]}
    facts["trained_on"] = int(np.count_nonzero(parts[rows] == 0)) if parts is not None else None
    return Judged(found, kept, training, facts)


def _items_of(images: Pictures | None, features: Features | None) -> np.ndarray:
    """Item of each image or row."""
    if images is not None:
        return encode_ids(one.item for one in images.pictures)
    assert features is not None
    return features.items.values


def chosen_vocabulary(
    network: Network, groups: Sequence[str] = (), tags: Sequence[str] = ()
) -> tuple[Vocabulary, list[str], list[str]]:
    """What to judge, and the columns to read for it.

    Parameters
    ----------
    network : Network
    groups, tags : sequence of str
        Names of groups, tags also as ``COLUMN:SEPARATOR``; all groups of the network where both are empty.

    Returns
    -------
    vocabulary : Vocabulary
        Those groups, in the network's order.
    groups, tags : list of str
        For `labels.read_labels`.

    Raises
    ------
    UsageError
        The network has no vocabulary, or not these groups.
    """
    if network.vocabulary is None or PROBABILITIES not in network.outputs:
        raise UsageError(
            f"'{network.path}' doesn't say which attributes its outputs are.",
            "Evaluate a network that 'ivbpr network train' wrote.",
        )
    own = {group.name: group for group in network.vocabulary.groups}
    if not groups and not tags:
        groups = [name for name, group in own.items() if group.exclusive]
        tags = [name for name, group in own.items() if not group.exclusive]
    wanted = [(name, name, True) for name in groups]
    wanted += [(tag if tag in own else tag.rpartition(":")[0] or tag, tag, False) for tag in tags]
    for name, _, exclusive in wanted:
        if name not in own:
            hint = did_you_mean(name, own) or f"It knows {', '.join(own)}."
            raise UsageError(f"The network has no group '{name}'.", hint)
        if own[name].exclusive != exclusive:
            option = parameter("groups") if own[name].exclusive else parameter("tags")
            raise UsageError(f"The network has '{name}' as another kind of group.", f"Name it with {option}.")
    names = {name for name, _, _ in wanted}
    chosen = Vocabulary(tuple(group for group in network.vocabulary.groups if group.name in names))
    return chosen, list(groups), list(tags)


def recorded_parts(network: Network, items: Ids) -> np.ndarray | None:
    """Part of each item in the network's training, uint8 (n,); None where its record doesn't tell.

    Raises
    ------
    DataError
        A record that nobody could have written.
    """
    split = network.record.get("split")
    if not split:
        return None
    try:
        return part_of(
            items,
            int(split["seed"]),
            float(split["valid_share"]),
            float(split["test_share"]),
            None if split.get("family") is None else int(split["family"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DataError(f"'{network.path}': its recorded split is broken.", "Export it again.") from None


def _positions(network: Network, vocabulary: Vocabulary) -> np.ndarray:
    """Columns of the network's probabilities that belong to `vocabulary`."""
    assert network.vocabulary is not None
    place = {name: k for k, name in enumerate(network.vocabulary.names)}
    return np.array([place[name] for name in vocabulary.names])


def _columns(network: Network, features: Features, vocabulary: Vocabulary) -> np.ndarray:
    """Columns of a feature file that belong to `vocabulary`."""
    made_by = features.attrs.get("network_sha256")
    if made_by is not None and made_by != network.sha256:
        raise DataError(
            f"The features in '{features.path}' were made with another network than '{network.path}'.",
            "Extract them anew, or name that network.",
        )
    place = {name: k for k, name in enumerate(features.names)}
    lacking = [name for name in vocabulary.names if name not in place]
    if lacking:
        raise DataError(
            f"'{features.path}' has no column '{lacking[0]}'.",
            "Name the feature file made with this network.",
        )
    return np.array([place[name] for name in vocabulary.names])


def _run(
    network: Network,
    images: Pictures,
    target: np.ndarray,
    n_items: int,
    device: str,
    threads: int | None,
    progress: Observer | None,
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Mean probabilities of each item (n, F), whether it has any, and what happened."""
    assert network.vocabulary is not None
    preprocessing: Preprocessing = network.prepared_by(None)
    session: NetworkSession = network.session([PROBABILITIES], device, threads)
    chosen = np.flatnonzero(target >= 0).tolist()
    total, count = np.zeros((n_items, network.vocabulary.size)), np.zeros(n_items, dtype=np.int64)
    bad: list[dict[str, str]] = []
    waiting: list[tuple[int, np.ndarray]] = []
    done = 0

    def flush() -> None:
        batch = np.stack([pixels for _, pixels in waiting])
        values = session.run(preprocessing.normalise(batch))[0].reshape(len(batch), -1)
        if values.shape[1] != total.shape[1]:
            raise DataError(
                f"'{network.path}' gives {values.shape[1]:,} probabilities for a vocabulary of "
                f"{total.shape[1]:,} values.",
                "Export it again.",
            )
        for (row, _), value in zip(waiting, values):
            total[row] += value
            count[row] += 1
        waiting.clear()

    stream = pixels_of(images, chosen, preprocessing.fit, preprocessing.size, threads, 4 * BATCH)
    if progress is not None:
        progress({"step": "running the network"})
    with closing(stream):
        for entry in stream:
            if entry.pixels is not None:
                waiting.append((int(target[entry.index]), entry.pixels))
            else:
                picture = images.pictures[entry.index]
                bad.append({"image": picture.name, "item": picture.item, "reason": entry.reason or ""})
            done += 1
            if len(waiting) == BATCH:
                flush()
                if progress is not None:
                    progress({"done": done, "total": len(chosen)})
    if waiting:
        flush()
    bad += [{"image": one.name, "item": one.item, "reason": reason} for one, reason in images.missing]
    ok = count > 0
    means = total / np.maximum(count, 1)[:, None]
    facts = {
        "images": int(count.sum()),
        "bad": bad,
        "provider": session.provider,
        "device_reason": session.why,
    }
    return means.astype(np.float32), ok, facts


def _nothing(shown: np.ndarray, items: Ids, labelled: np.ndarray, labels: PathLike, split: str) -> DataError:
    if labelled.any():
        return DataError(
            f"None of the {np.count_nonzero(labelled):,} labelled images is in the part '{split}'.",
            f"Use another part of the split ({parameter('split')}), or more images.",
        )
    return DataError(
        f"None of the {len(shown):,} images has a label in '{labels}': the first image is "
        f"'{shown[0].decode()}', the first labelled item '{items[0]}'.",
        "Image names without their ending must be the ids of the label table.",
    )
