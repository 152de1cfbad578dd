"""``ivbpr serve``: the page on which a shopper pushes recommendations around, and its JSON twin."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

from ivbpr_cli.commands.options import argument, option
from ivbpr_cli.output import Screen
from ivbpr_cli.paths import input_file, input_images
from ivbpr_numba.errors import EnvironmentProblem, UsageError

__all__ = ["serve"]


def serve(
    screen: Screen,
    model: Annotated[Path, argument("A file written by 'ivbpr fit'.")],
    images: Annotated[
        Path | None,
        option("Folder, zip or tar of product photos, ITEM.jpg or so; without one a card is drawn."),
    ] = None,
    network: Annotated[
        Path | None,
        option("The network that knows the model's attributes: visitors may drop a photo.", metavar="ONNX"),
    ] = None,
    device: Annotated[str, option("auto, cpu or cuda, for the network.")] = "auto",
    host: Annotated[
        str, option("Address to listen at; others than this one let other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, option("Port; 0 takes any that is free.")] = 8000,
    name: Annotated[
        list[str] | None,
        option("A name by which visitors call this server, behind a proxy for one; repeatable."),
    ] = None,
    title: Annotated[str | None, option("Headline of the page.")] = None,
    features: Annotated[Path | None, option("Feature file, if it is not where the model says.")] = None,
) -> None:
    """A page to look around and to steer: more of this, less of that, like this one; and the same as JSON.

    It ends with Ctrl-C. GET /openapi.json describes every address.
    """
    input_file(model, "model")
    for path, what in ((features, "feature file"), (network, "network")):
        if path is not None:
            input_file(path, what)
    if images is not None:
        input_images(images)
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port}: a port is a number up to 65535.", "Use 8000, or 0 for any.")
    need_web()

    from ivbpr_cli.web.api import Served
    from ivbpr_cli.web.app import application
    from ivbpr_cli.web.pictures import open_photos
    from ivbpr_cli.web.running import address_of, listening
    from ivbpr_cli.web.running import serve as serve_at
    from ivbpr_cli.web.safety import Hosts
    from ivbpr_numba.documents.shop import Shop
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models import load
    from ivbpr_numba.network.file import Network
    from ivbpr_numba.questions.new_item import Looker

    hosts = Hosts(host, name or ())
    bound = listening(host, port)
    with bound:
        shop = Shop(load(model), Features.read(features) if features is not None else None)
        served = Served(shop, title=title)
        if images is not None:
            served.photos = open_photos(images)
        if network is not None:
            served.network = Looker.of(Network.read(network), device=device)
        if shop.missing:
            screen.warn(f"There are no reasons and no steering. {shop.missing}")
        for text in served.photos.notes if served.photos is not None else ():
            screen.note(text)
        served.ready()
        if not hosts.local:
            screen.warn(
                f"--host {host}: whoever reaches this machine can look up every shopper and what they bought."
            )

        def started() -> None:
            said = f"Serving {shop.model.name} at {address_of(bound)} – Ctrl-C ends it."
            if port == 0:
                screen.err.print(said)  # also with --quiet: nothing else tells the port
            else:
                screen.note(said)

        serve_at(application(served, hosts), bound, started)


def need_web() -> None:
    """Refuse where the extra is missing.

    Raises
    ------
    EnvironmentProblem
    """
    missing = [one for one in ("starlette", "uvicorn") if importlib.util.find_spec(one) is None]
    if missing:
        raise EnvironmentProblem(
            f"The server needs {' and '.join(missing)}.", 'Install it: pip install "ivbpr[web]"'
        )
