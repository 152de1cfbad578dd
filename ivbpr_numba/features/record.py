"""What a model remembers of its features, and where it finds them again."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass

from ivbpr_numba import expected
from ivbpr_numba.errors import DataError, IvbprError, UsageError, parameter
from ivbpr_numba.features.alignment import Scaling
from ivbpr_numba.features.features import Features
from ivbpr_numba.features.layout import Group
from ivbpr_numba.wording import first_of

__all__ = ["FeatureRecord"]


@dataclass(frozen=True)
class FeatureRecord:
    """What a model remembers of its features: enough to find them again and to name their columns.

    Attributes
    ----------
    kind : str
        ``dense`` or ``attributes``.
    names : list of str, F
    groups : list of Group
    sha256 : str
        Payload digest of the feature file.
    path : str
        Absolute; empty for features that were only in memory.
    scaling : Scaling
    relative_path, folder : str
        Path from the folder of the model file, and that folder; empty until a file was read.
    """

    kind: str
    names: list[str]
    groups: list[Group]
    sha256: str
    path: str
    scaling: Scaling
    relative_path: str = ""
    folder: str = ""

    @classmethod
    def of(cls, features: Features, scaling: Scaling) -> FeatureRecord:
        """Remember these.

        Warns
        -----
        UserWarning
            All features, or all of some groups, are zero for every item of the fit.
        """
        _warn_of_nothing(features, scaling)
        path = os.path.realpath(features.path) if features.path else ""
        return cls(
            features.kind, list(features.names), list(features.groups), features.payload_sha256, path, scaling
        )

    def find(self, given: Features | None = None) -> Features:
        """Return `given`, or the features at a recorded place, once their digest agrees.

        A file at the first place that is damaged, unreadable or another one does not hide the right one at
        the second.

        Raises
        ------
        UsageError
            Nothing is there any more; what is given are no `Features`.
        DataError
            Other features than those of the fit, or damaged ones; each place is named with what is wrong.
        """
        expected.features(given, "A model")
        if given is not None:
            wrong = self._other(given)
            if wrong:
                raise self._none_fits([wrong])
            return given
        found, wrongs, _ = self._search()
        if found is not None:
            return found
        if wrongs:
            raise self._none_fits(wrongs)
        raise UsageError(
            f"The model's features are not at {self.path or 'any recorded place'}.",
            f"Name them with {parameter('features')}.",
        )

    def refuse_others(self) -> str | None:
        """Refuse a model beside other features than those of its fit, for answers that need none.

        Returns
        -------
        str or None
            What is wrong with the files at the recorded places, where all of them are damaged or unreadable;
            None where the features are there, or no file is.

        Raises
        ------
        DataError
            One of them holds other features: the model and its features no longer belong together.
        """
        found, wrongs, others = self._search()
        if found is not None or not wrongs:
            return None
        if others:
            raise self._none_fits(wrongs)
        return f"{'; '.join(wrongs)}."

    def _search(self) -> tuple[Features | None, list[str], bool]:
        """The right features, or what is wrong at each recorded place that exists; are others at one?"""
        wrongs: list[str] = []
        others = False
        places = self.places()
        for place in places:
            try:
                features = Features.read(place)
                wrong = self._other(features)
                if not wrong:
                    if len(places) > 1:
                        features.check()  # before it hides an intact copy
                    return features, wrongs, others
                others = True
            except IvbprError as problem:
                wrong = problem.message.rstrip(".")
            wrongs.append(wrong)
        return None, wrongs, others

    def places(self) -> list[str]:
        """Distinct files at the recorded path, and at the same path from where the model file is now."""
        named = [self.path]
        if self.folder and self.path:
            named += [os.path.join(self.folder, self.relative_path)]
            named += [os.path.join(self.folder, os.path.basename(self.path))]
        places: list[str] = []
        for place in named:
            if place and os.path.isfile(place) and not any(os.path.samefile(place, p) for p in places):
                places.append(place)
        return places

    def _other(self, features: Features) -> str:
        """Why these are not the features of the fit; empty where they are."""
        if features.payload_sha256 == self.sha256:
            return ""
        return f"{features.path or '(in memory)'} ({features.payload_sha256[:12]}…) are others"

    def _none_fits(self, wrongs: list[str]) -> DataError:
        wanted = f"those of the fit, {self.path or '(in memory)'} ({self.sha256[:12]}…)"
        return DataError(
            f"These features are not {wanted}: {'; '.join(wrongs)}.",
            f"Name the features of the fit with {parameter('features')}, or fit again.",
        )


def _warn_of_nothing(features: Features, scaling: Scaling) -> None:
    if scaling.variances is None:
        return
    zero = (scaling.mean == 0) & (scaling.variances == 0)
    empty = [group.name for group in features.groups if zero[group.offset : group.offset + group.size].all()]
    where = f"the features {features.path or '(in memory)'}"
    if zero.all():
        text = f"Every value of {where} is zero for the items of the fit: nothing can be learned from them."
    elif empty:
        text = (
            f"{len(empty):,} of {len(features.groups):,} groups of {where} are zero for every item of the "
            f"fit: {first_of(map(repr, empty))}."
        )
    else:
        return
    warnings.warn(text, stacklevel=3)
