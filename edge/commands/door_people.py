"""The enrolled people of a running door: connect store, recogniser and pipeline. Loaded only with [people] enabled."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ..config import Config
from ..inference.perception import Perception
from ..people.gallery_keeper import GalleryKeeper
from ..people.presence import Presence
from ..people.recogniser import Recogniser
from .people import store_place


def presence_factory(
    config: Config, settings: Path | None, perception: Perception, report: Callable[[str], None]
) -> Callable[[], Presence]:
    """Return what makes a presence for each of several files, all with the people that are enrolled now."""
    embedder = perception.embedder
    assert embedder is not None  # [people] enabled loads it
    people = config.people
    keeper = GalleryKeeper(
        store_place(config, settings), embedder.version, people.threshold or embedder.threshold, report
    )
    return lambda: Presence(Recogniser(people, embedder, lambda: keeper.gallery), people.log, people.page == "name")


def open_presence(
    config: Config,
    settings: Path | None,
    perception: Perception,
    live: bool,
    report: Callable[[str], None],
    opened: ExitStack,
) -> Presence:
    """Return what recognises people for the pipeline; `opened` closes it. `report` gets a line for each problem.

    `live`: the source is a camera, for which nothing may wait.

    A store that cannot be read stops no door: nobody is known then.
    """
    embedder = perception.embedder
    assert embedder is not None  # [people] enabled loads it
    people = config.people
    keeper = GalleryKeeper(
        store_place(config, settings), embedder.version, people.threshold or embedder.threshold, report
    )
    keeper.start()
    opened.callback(keeper.close)
    cards = None
    if people.cards:
        from ..people.card_reader import CardReader

        cards = CardReader(lambda: keeper.installation, embedder.version, report, in_background=live)
        opened.callback(cards.close)
    return Presence(Recogniser(people, embedder, lambda: keeper.gallery, cards), people.log, people.page == "name")
