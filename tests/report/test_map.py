"""The map of a table: exact components, t-SNE that keeps groups together, a page without scripts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eavctl.errors import DataError
from eavctl.report import projection
from eavctl.report.map_page import PALETTE, map_page
from eavctl.report.projection import agreement, principal_components, project
from eavctl.stages.map import make_map, plan
from eavctl.storage import tables
from eavctl.storage.keys import KEYS


def groups(n: int = 60, n_columns: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of three groups far apart, and their groups."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 3
    return rng.normal(size=(n, n_columns)) + 5 * rng.normal(size=(3, n_columns))[group], group


def write(path: Path, x: np.ndarray, columns: bool = True, **keys: Sequence[str | None]) -> Path:
    frame = pd.DataFrame({name: [None] * len(x) for name in KEYS})
    frame["sample_id"] = frame["clip_id"] = [f"c{i:04d}" for i in range(len(x))]
    for name, values in keys.items():
        frame[name] = values
    meta: dict[str, Any] = {
        "modality": "audio", "features": "made", "features_version": 1, "settings": {}, "features_hash": "0",
        "rate": None, "units": "none", "segment": None, "shape": list(x.shape[1:]), "classes": ["b", "a"],
    }  # fmt: skip
    names = tuple(f"f{i}" for i in range(x.shape[1])) if columns else None
    tables.write_features(tables.FeatureTable(frame, x.astype(np.float32), names, meta), path)
    return path


@pytest.mark.parametrize(("n", "n_columns"), [(40, 7), (15, 200)])
def test_components_are_scikit_learns(n: int, n_columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    monkeypatch.setattr(projection, "BLOCK_BYTES", 8 * n * 5)  # five columns at a time
    x = np.random.default_rng(0).normal(size=(n, n_columns)) ** 3
    x[:, 3] = 7.5
    scores, explained, n_constant = principal_components(x, 5)
    varying = np.delete(x, 3, axis=1)
    theirs = decomposition.PCA(5, svd_solver="full")
    expected = theirs.fit_transform((varying - varying.mean(axis=0)) / varying.std(axis=0))
    assert n_constant == 1
    np.testing.assert_allclose(np.abs(scores), np.abs(expected), atol=1e-8)
    np.testing.assert_allclose(explained, theirs.explained_variance_ratio_, atol=1e-10)


def test_groups_stay_together_and_are_found_among_the_nearest() -> None:
    x, group = groups()
    found = project(x, seed=0)
    for plane in (found.pca, found.tsne):
        centres = np.array([plane[group == g].mean(axis=0) for g in range(3)])
        nearest = np.linalg.norm(plane[:, None] - centres, axis=2).argmin(axis=1)
        assert (nearest == group).mean() > 0.95
    names = [f"g{g}" if i > 5 else None for i, g in enumerate(group)]
    right, chance = agreement(found.components, names) or (0.0, 0.0)
    assert right > 0.95
    assert chance == pytest.approx(17 / 53, abs=1e-9)
    shuffled = np.random.default_rng(1).permutation(names).tolist()
    unlike, _ = agreement(found.components, shuffled) or (1.0, 0.0)
    assert unlike == pytest.approx(chance, abs=0.12)
    assert agreement(found.components, ["g0"] * 60) is None
    assert agreement(found.components, [None] * 60) is None


def test_the_same_seed_gives_the_same_page_and_rows_are_drawn_by_it(tmp_path: Path) -> None:
    table = write(tmp_path / "t.parquet", groups()[0], label=["a", "b"] * 30)
    pages = []
    for name in ("a.html", "b.html"):
        make_map(table, tmp_path / name, rows=30, seed=3)
        pages.append((tmp_path / name).read_text())
    assert pages[0] == pages[1]
    assert "30 of 60 rows" in pages[0]
    drawn = [
        {point["sample_id"] for point in make_map(table, rows=30, seed=seed)["points"]} for seed in (3, 4)
    ]
    assert [len(each) for each in drawn] == [30, 30]
    assert drawn[0] != drawn[1]
    assert plan(table, rows=30) == (60, 30)
    assert "drawn" not in map_page(make_map(table))


def test_colours_are_those_of_class_person_and_data_set(tmp_path: Path) -> None:
    x, _ = groups()
    people = [f"p{i % 4}" if i else None for i in range(60)]
    table = write(
        tmp_path / "t.parquet", x, label=["a", "b"] * 30, subject=people, dataset=["one"] * 20 + ["two"] * 40
    )
    found = make_map(table, tmp_path / "m.html")
    assert [each["by"] for each in found["colourings"]] == ["class", "person", "data set"]
    of_class, of_person, _ = found["colourings"]
    assert of_class["names"] == [{"name": "b", "rows": 30}, {"name": "a", "rows": 30}]  # the table's order
    assert {each["name"] for each in of_person["names"]} == {
        f"{d} p{i}" for d in ("one", "two") for i in range(4)
    }
    page = (tmp_path / "m.html").read_text()
    assert page.count("<circle cx") >= 120
    assert "others, or no person" in page
    assert re.search(r"<title>c0001, b, one p1, one</title>", page)
    assert "<script" not in page
    assert not re.search(r"""(src|href)=|url\(|https?:""", page)


def test_a_table_of_tensors_without_names_is_mapped_in_one_colour(tmp_path: Path) -> None:
    table = write(tmp_path / "t.parquet", groups()[0].reshape(60, 3, 4), columns=False)
    found = make_map(table, tmp_path / "m.html")
    assert found["colourings"] == []
    assert found["shape"] == [3, 4]
    assert "Colour by" not in (tmp_path / "m.html").read_text()


def test_of_many_names_the_most_frequent_have_colours(tmp_path: Path) -> None:
    names = [f"p{min(i, 40):02d}" for i in range(60)]  # 40 of one row, and one of 20
    table = write(tmp_path / "t.parquet", groups()[0], subject=names)
    page = map_page(make_map(table))
    legend = page[page.index('<ul class="legend"') : page.index("</ul>")]
    assert legend.count("<li") == len(PALETTE) + 1
    assert "p40 " in legend
    assert f"<small>{60 - 20 - (len(PALETTE) - 1)}</small>" in legend


@pytest.mark.parametrize("x", [np.zeros((3, 5)), np.ones((20, 5))])
def test_what_cannot_be_mapped_is_refused(x: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="map"):
        make_map(write(tmp_path / "t.parquet", x))


def test_one_feature_has_one_component(tmp_path: Path) -> None:
    found = make_map(write(tmp_path / "t.parquet", np.arange(9.0)[:, None] ** 2), tmp_path / "m.html")
    assert found["explained"] == [1.0, 0.0]
    assert {point["pca"][1] for point in found["points"]} == {0.0}
