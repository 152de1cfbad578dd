"""Features of real catalogues and of a real network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ivbpr_numba.errors import DataError
from ivbpr_numba.features.describing import describe
from ivbpr_numba.features.features import Features
from ivbpr_numba.features.importing import import_features
from ivbpr_numba.features.tables import build_feature_table
from ivbpr_numba.store.verify import inspect


@pytest.mark.real_data
def test_hm_articles_and_squeezenet(tmp_path: Path, real_data: Path) -> None:
    columns = [
        "product_type_name", "graphical_appearance_name", "colour_group_name", "perceived_colour_value_name",
        "perceived_colour_master_name", "department_name", "index_name", "section_name", "garment_group_name",
    ]  # fmt: skip
    articles = real_data / "hm" / "articles.csv.gz"
    build_feature_table(articles, id_column="article_id", columns=columns, out=tmp_path / "a.h5")
    table = Features.read(tmp_path / "a.h5")
    assert table.shape == (10_695, 495) and table.sparse
    assert set(table.take(np.arange(len(table))).sum(axis=1).tolist()) == {9.0}
    assert table.items[0] == "0108775015"
    import_features(
        real_data / "hm" / "squeezenet512.f16.npy",
        ids=real_data / "hm" / "squeezenet512.ids.txt",
        out=tmp_path / "s.h5",
    )
    network = Features.read(tmp_path / "s.h5")
    assert np.array_equal(network.items.values, table.items.values)
    facts = describe(network)
    assert facts["max"] == 84.75
    assert facts["zero_share"] == pytest.approx(0.36, abs=0.005)
    assert inspect(tmp_path / "s.h5")["changed"] == []


@pytest.mark.real_data
def test_rental_categories_as_shares(tmp_path: Path, real_data: Path) -> None:
    rentals = real_data / "rtr" / "rtr_interactions.csv.gz"
    with pytest.raises(DataError, match="5 items have rows that disagree"):
        build_feature_table(rentals, id_column="item_id", columns=["category"], out=tmp_path / "a.h5")
    report = build_feature_table(
        rentals, id_column="item_id", columns=["category"], aggregate="share", out=tmp_path / "a.h5"
    )
    assert (report["items"], report["columns"], report["disagreeing_items"]) == (5850, 68, 5)
    features = Features.read(tmp_path / "a.h5")
    values = features.values(np.arange(len(features)))
    assert np.allclose(values.sum(axis=1), 1, atol=1e-3)
    assert int(((values > 0).sum(axis=1) > 1).sum()) == 5
