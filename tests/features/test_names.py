"""The names and groups of columns: what is told of them, and columns found by them."""

from __future__ import annotations

import numpy as np
import pytest
from small_features import IDS, VALUES, attributes

from ivbpr_numba.errors import UsageError
from ivbpr_numba.features.describing import describe, examples
from ivbpr_numba.features.features import Features
from ivbpr_numba.features.layout import Group


def test_groups_follow_from_the_names_of_attributes() -> None:
    assert attributes().groups == [
        Group("colour", 0, 2, True),
        Group("lining", 2, 1, True),
        Group("tags", 3, 2, False),
    ]


def test_columns_by_full_name_or_by_unique_value() -> None:
    features = attributes()
    assert features.column("colour=Black") == 0
    assert features.column("Red") == 1
    assert features.column("a=b") == 3
    with pytest.raises(UsageError, match="ambiguous") as caught:
        features.column("Black")
    assert "'colour=Black' or 'lining=Black'" in caught.value.hint
    with pytest.raises(UsageError, match="Unknown feature 'leathr'") as caught:
        features.column("leathr")
    assert caught.value.hint == "Did you mean 'leather'?"


def test_description_and_examples() -> None:
    features = attributes()
    facts = describe(features)
    assert (facts["items"], facts["columns"], facts["kind"], facts["dtype"]) == (
        3,
        5,
        "attributes",
        "float32",
    )
    assert (facts["min"], facts["max"]) == (0.0, 1.0)
    assert facts["zero_share"] == pytest.approx(7 / 15)
    assert facts["groups"][1] == {
        "group": "lining", "columns": 1, "exclusive": True, "items_with_value": 1, "share_with_value": 1 / 3,
    }  # fmt: skip
    assert [(e["item"], e["value"]) for e in examples(features, "leather")] == [
        ("i1", 1.0),
        ("i2", 0.5),
        ("i3", 0.5),
    ]
    assert [e["item"] for e in examples(features, "Red", 5)] == ["i2"]  # items without it are no examples
    assert examples(features, "leather", 2)[1] == {
        "rank": 2,
        "item": "i2",
        "feature": "tags=leather",
        "value": 0.5,
    }
    for n in (0, -1):
        with pytest.raises(UsageError, match="can't be shown"):
            examples(features, "leather", n)
    assert (facts["items_without_values"], facts["columns_without_values"]) == (0, 0)
    dense = Features.from_arrays(IDS, VALUES * np.float16([1, 1, 0]))
    about = describe(dense)
    assert (about["items_without_values"], about["first_without_values"]) == (1, ["äpfel"])
    assert (about["columns_without_values"], about["first_empty_columns"]) == (1, ["2"])
    dense = Features.from_arrays(IDS, VALUES)
    assert [e["item"] for e in examples(dense, "0", 9)] == ["b", "0108", "0020", "äpfel", "a"]
