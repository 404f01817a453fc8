"""POST /api/v1/events judges event by event, which no check of schemathesis knows: a body may break the document and be
answered 202 all the same, as long as each event that breaks it is named. Here that is what is checked, for each event.

Also counts how many requests reached each operation.
"""

import json
import os
import re
import time
from collections import Counter

import jsonschema_rs
import schemathesis
from schemathesis.core.failures import AcceptedNegativeData

EVENTS = "POST /api/v1/events"
# What the document cannot say, as it depends on the clock, on the store or on the other events of the request.
BEYOND = {"time_out_of_range", "wrong_author", "duplicate_id"}
# From here on a number breaks the document.
YEAR_10000_MS = 253_402_300_800_000


class Document:
    """The body's schema, and the same for one event."""

    def __init__(self, document):
        schema = "#/components/schemas/PostedEvents"
        self.body = self.validator(document, schema)
        self.event = self.validator(document, f"{schema}/properties/events/items")

    @staticmethod
    def validator(document, reference):
        schema = {"$ref": reference, "components": document["components"]}
        return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def sent(response):
    """The body as it went out; None where it is no JSON."""
    body = response.request.body
    try:
        return json.loads(body)
    except (TypeError, ValueError):
        return None


def has_id_with_fraction(event):
    """To a schema 7.0 is an integer. The document says in words that no id is written so: a double may have been another."""
    return isinstance(event, dict) and any(isinstance(event.get(f"{name}_id"), float) for name in ("user", "post", "author"))


def judged(case, response):
    """The places of the events that break the document, and the codes of those the node named; None where the body as a
    whole, and not this or that event, is at fault."""
    document, body = Document(case.operation.schema.raw_schema), sent(response)
    events = body.get("events") if isinstance(body, dict) else None
    if not isinstance(events, list) or not 1 <= len(events) <= 100:
        return None
    breaking = {place for place, event in enumerate(events) if not document.event.is_valid(event)}
    assert document.body.is_valid(body) == (not breaking), "a body is its events"
    breaking |= {place for place, event in enumerate(events) if has_id_with_fraction(event)}
    answer = response.json()
    if response.status_code == 202:
        named = {one["index"]: one["code"] for one in answer["rejected"]}
        assert answer["accepted"] + len(named) == len(events), "each event is accepted or named, once"
        return breaking, named, breaking
    # The first three are named in the message.
    message = answer["error"]["message"]
    named = {int(place): code for place, code in re.findall(r"(?:: |; )events\[(\d+)\] (\w+): ", message)}
    return breaking, named, breaking & set(range(min(3, len(events))))


@schemathesis.check
def events_are_judged_as_documented(ctx, response, case):
    if case.operation.label != EVENTS or case.method != "POST" or response.status_code not in (202, 400):
        return
    told = judged(case, response)
    if told is None:
        assert response.status_code == 400, "a body that is no list of 1 to 100 events is taken"
        return
    breaking, named, to_name = told
    if response.status_code == 400:
        assert named, f"the body holds events, and none is named: {response.text}"
    passed = to_name - set(named)
    assert not passed, f"events that break the document are taken: {sorted(passed)}"
    refused = {place: code for place, code in named.items() if place not in breaking and code not in BEYOND}
    assert not refused, f"events that keep to the document are refused: {refused}"


@schemathesis.hook
def map_body(context, body):
    """A time that is made up is hardly ever one of the last 90 days, and what else is wrong with its event would not be
    seen: every other one is moved there."""
    events = body.get("events") if isinstance(body, dict) else None
    for event in events if isinstance(events, list) else []:
        at = event.get("event_time") if isinstance(event, dict) else None
        if type(at) is int and 0 <= at < YEAR_10000_MS and at % 2 == 0:
            event["event_time"] = int(time.time() * 1_000) - at % 1_000_000
    return body


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """A partly bad body that was taken is no failure where the bad events are named: the check above says so."""
    if case.operation.label != EVENTS or not isinstance(failure, AcceptedNegativeData) or response.status_code != 202:
        return True
    try:
        told = judged(case, response)
    except AssertionError:
        return True
    breaking, named, _ = told or (set(), {}, set())
    return not (breaking and breaking <= set(named))


@schemathesis.check
class ReachedOperations:
    """Tells how many requests reached each operation, one line each."""

    def __init__(self):
        self.reached = Counter()

    def after_response(self, ctx, response, case):
        self.reached[case.operation.label] += 1

    def after_run(self, ctx):
        with open(os.environ["REACHED"], "a", encoding="utf-8") as file:
            for operation, count in sorted(self.reached.items()):
                print(count, operation, sep="\t", file=file)
