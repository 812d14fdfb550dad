"""What Kinto calls when something changed. Whatever goes wrong here must not break a request."""

import logging
from collections.abc import Callable
from typing import Any

from kinto.core.events import ACTIONS, AfterResourceChanged, ResourceChanged
from pyramid.config import Configurator

from kinto_webpush_channels import changes
from kinto_webpush_channels.announcer import Announcer

logger = logging.getLogger(__name__)

# Where a request remembers the collections of the buckets that it deletes.
_KEY = "webpush_channels.collections"

Listener = Callable[[Any], None]


def subscribe(config: Configurator, announcer: Announcer) -> None:
    """Announces after the commit; only what will be gone by then is looked up before."""
    add, deletes = config.add_subscriber, (ACTIONS.DELETE,)

    def records(event: Any) -> None:
        change = changes.of_records(event)
        announcer.announce([change] if change else [])

    def collections(event: Any) -> None:
        announcer.announce(changes.of_collections(event))

    def buckets(event: Any) -> None:
        announcer.announce(changes.of_buckets(event, event.request.bound_data.get(_KEY, {})))

    def before_buckets(event: Any) -> None:
        _remember_collections(event, announcer)

    writes = (ACTIONS.CREATE, ACTIONS.UPDATE, ACTIONS.DELETE)
    add(_guarded(records), AfterResourceChanged, for_resources=("record",), for_actions=writes)
    add(_guarded(collections), AfterResourceChanged, for_resources=("collection",), for_actions=deletes)
    add(_guarded(buckets), AfterResourceChanged, for_resources=("bucket",), for_actions=deletes)
    add(_guarded(before_buckets), ResourceChanged, for_resources=("bucket",), for_actions=deletes)


def _remember_collections(event: Any, announcer: Announcer) -> None:
    """Deleting a bucket tells nothing about its collections, and after the commit nobody knows them."""
    storage = event.request.registry.storage
    known = event.request.bound_data.setdefault(_KEY, {})
    for impact in event.impacted_objects:
        bucket = impact["new"]["id"]
        if announcer.concerns(bucket):
            found = storage.list_all(resource_name="collection", parent_id=f"/buckets/{bucket}")
            known[bucket] = [collection["id"] for collection in found]


def _guarded(listener: Listener) -> Listener:
    def guarded(event: Any) -> None:
        try:
            listener(event)
        except Exception:
            logger.exception("a change is not announced")

    return guarded
