"""What is stored of a person: the template, and all that `people show` and the consent must name."""

from __future__ import annotations

import msgspec

from edge.people import record
from support.people import person


def test_templates_are_as_good_as_vectors() -> None:
    from support.people import vector

    for seed in range(20):
        one = vector(seed)
        assert float(record.to_vector(record.to_template(one)) @ one) > 0.9999


def test_a_person_says_everything_that_is_kept() -> None:
    """A field that is added must be in `people show` and in the text of the consent."""
    assert record.Person.__struct_fields__ == ("id", "name", "template", "model", "consent")
    assert record.Consent.__struct_fields__ == ("by", "recorded_by", "at", "until", "text")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(person("Ada")), type=record.Person).name == "Ada"
