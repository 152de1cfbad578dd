"""Files under the names that the pages use, made of the drawn world: columns and ids as H&M's have them."""

from __future__ import annotations

import datetime
import tarfile
from pathlib import Path

import pandas as pd

# A column of H&M's catalogue, and the world's column that stands in for it.
COLUMNS = {
    "prod_name": "title",
    "product_type_name": "garment",
    "graphical_appearance_name": "pattern",
    "colour_group_name": "colour",
    "perceived_colour_value_name": "fit",
    "perceived_colour_master_name": "material",
    "department_name": "garment",
    "index_name": "fit",
    "section_name": "material",
    "garment_group_name": "pattern",
}


def article(item: str) -> str:
    """The id of an item as H&M writes them: ten digits, the first seven for the variants of a product."""
    number = int(item[1:])
    return f"0{number // 3:06d}{number % 3:03d}"


def write_shop(world: Path, folder: Path) -> None:
    """Write what the pages on real purchases name, made of the world in the folder `world`."""
    folder.mkdir(parents=True, exist_ok=True)
    catalogue = pd.read_csv(world / "catalogue.csv", dtype=str)
    articles = pd.DataFrame({"article_id": [article(item) for item in catalogue["id"]]})
    for column, source in COLUMNS.items():
        articles[column] = catalogue[source].str.title()
    articles.to_csv(folder / "articles.csv.gz", index=False)
    purchases = pd.read_csv(world / "purchases.csv", dtype=str)
    transactions = pd.DataFrame(
        {
            "t_dat": [day(seconds) for seconds in purchases["time"]],
            "customer_id": purchases["user"],
            "article_id": [article(item) for item in purchases["item"]],
        }
    )
    transactions.to_csv(folder / "transactions.csv.gz", index=False)
    kinds = dict(zip(articles["article_id"], articles["product_type_name"]))
    rentals = transactions.set_axis(["review_date", "user_id", "item_id"], axis=1)
    rentals["category"] = [kinds[item] for item in rentals["item_id"]]
    rentals.to_csv(folder / "rtr_interactions.csv.gz", index=False)
    ratings = purchases[["user", "item"]].assign(rating="3", time=purchases["time"])
    ratings.to_csv(folder / "u.data.gz", index=False, header=False, sep="\t")
    with tarfile.open(folder / "images.tar.gz", "w:gz") as archive:
        for photo in sorted((world / "images").glob("*.jpg")):
            archive.add(photo, f"images/{article(photo.stem)}.jpg")
    (folder / "new.jpg").write_bytes(photo.read_bytes())


def day(seconds: str) -> str:
    """The date of a unix time."""
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).date().isoformat()


def write_squeezenet(path: Path) -> None:
    """An ONNX file of SqueezeNet 1.1's layers with random weights; of another small network without torch."""
    from doc_blocks import has_torch

    if not has_torch():
        from tiny_networks import toy

        toy(path, side=64)
        return
    import torch

    from ivbpr_numba.training.whole.trunks import make_trunk

    torch.manual_seed(0)
    trunk = make_trunk("squeezenet1_1").eval()
    torch.onnx.export(trunk, (torch.rand(1, 3, 64, 64),), path, dynamo=False, opset_version=18)
