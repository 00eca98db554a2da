"""The same first load by dlt, for comparison: its rest_api source, merged into Postgres by primary key.

Usage: dlt_pipeline.py BASE_URL API_KEY SITE_ID DATABASE_URL

The benchmark runs it with `--against`: see BENCHMARKS.md. Contacts have no cursor and are read by offset,
bookings and orders by cursor, all with the page sizes that wix-sync uses. Nothing is incremental: it is a first load.
"""

import resource
import sys
import time
from urllib.parse import urlsplit

import dlt
from dlt.sources.rest_api import rest_api_source
from dlt.sources.helpers.rest_client.auth import APIKeyAuth
from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator, OffsetPaginator


class CursorAlone(JSONResponseCursorPaginator):
    """The next page by a cursor in the body, without filter and sort of the first request: Wix refuses them beside it."""

    def __init__(self, envelope: str, metadata: str) -> None:
        path = f"{envelope}.cursorPaging.cursor"
        super().__init__(cursor_path=f"{metadata}.cursors.next", cursor_body_path=path)
        self.envelope = envelope

    def update_request(self, request) -> None:
        super().update_request(request)
        for word in ("filter", "sort"):
            request.json[self.envelope].pop(word, None)


# Left to itself, Wix lists fewer orders: this is what wix-sync asks for.
LISTED_ORDERS = {"status": {"$in": ["APPROVED", "CANCELED", "PENDING", "REJECTED"]}}


def resource_by_cursor(name: str, path: str, envelope: str, records: str, metadata: str, listed: dict) -> dict:
    """A listing whose answers name the cursor of the next page."""
    words = {"filter": listed, "sort": [{"fieldName": "createdDate", "order": "ASC"}], "cursorPaging": {"limit": 100}}
    return {
        "name": name,
        "endpoint": {
            "path": path,
            "method": "POST",
            "json": {envelope: words},
            "data_selector": records,
            "paginator": CursorAlone(envelope, metadata),
        },
    }


def source(base_url: str, api_key: str, site_id: str):
    """The three listings. What is nested stays JSON, as in wix-sync's `raw`; dlt's child tables would cost far more."""
    contacts = {
        "name": "contacts",
        "endpoint": {
            "path": "contacts/v4/contacts",
            "params": {"sort.fieldName": "createdDate", "sort.order": "ASC", "fieldsets": "FULL"},
            "data_selector": "contacts",
            "paginator": OffsetPaginator(
                limit=1000, offset_param="paging.offset", limit_param="paging.limit", total_path="pagingMetadata.total"
            ),
        },
    }
    return rest_api_source(
        {
            "client": {
                "base_url": base_url,
                "headers": {"wix-site-id": site_id},
                "auth": APIKeyAuth(name="Authorization", api_key=api_key, location="header"),
            },
            "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
            "resources": [
                contacts,
                resource_by_cursor(
                    "bookings",
                    "_api/bookings-reader/v2/extended-bookings/query",
                    "query",
                    "extendedBookings[*].booking",
                    "pagingMetadata",
                    {},
                ),
                resource_by_cursor("orders", "ecom/v1/orders/search", "search", "orders", "metadata", LISTED_ORDERS),
            ],
        },
        max_table_nesting=0,
    )


def with_host(database_url: str) -> str:
    """dlt insists on a host and a password; where `?host=` names the directory of a socket, libpq uses that one."""
    url = urlsplit(database_url)
    place = f"{url.username or 'postgres'}:{url.password or 'none'}@{url.hostname or 'localhost'}:{url.port or 5432}"
    return url._replace(netloc=place).geturl()


def main() -> None:
    """Runs the pipeline once and prints what it took."""
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    base_url, api_key, site_id, database_url = sys.argv[1:]
    begun = time.monotonic()
    pipeline = dlt.pipeline(
        "wix_sync_comparison",
        destination=dlt.destinations.postgres(with_host(database_url)),
        dataset_name="dlt_comparison",
        dev_mode=True,
    )
    pipeline.run(source(base_url, api_key, site_id))
    used = resource.getrusage(resource.RUSAGE_SELF)
    counts = pipeline.last_trace.last_normalize_info.row_counts
    counts = {name: count for name, count in counts.items() if name in ("contacts", "bookings", "orders")}
    print(
        f"dlt {dlt.__version__}: {time.monotonic() - begun:.1f} s, {used.ru_utime + used.ru_stime:.1f} s CPU, "
        f"{used.ru_maxrss / 1e3:.0f} MB, {counts}"
    )


if __name__ == "__main__":
    main()
