"""JSON Schema, the part that our OpenAPI document uses: values that satisfy one, and what is wrong with a value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

Schema = Mapping[str, Any]
KNOWN = {
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "default",
    "description",
    "enum",
    "items",
    "maxLength",
    "maximum",
    "minLength",
}
KNOWN |= {"minimum", "pattern", "properties", "required", "title", "type"}

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


class Schemas:
    """Those of a document's ``components``."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._named: Mapping[str, Schema] = document["components"]["schemas"]

    def resolve(self, schema: Schema) -> Schema:
        """The schema itself, where this one only names it."""
        assert schema.keys() <= KNOWN, f"the tests do not know {schema.keys() - KNOWN}"
        name = schema.get("$ref")
        return self.resolve(self._named[name.rpartition("/")[2]]) if name else schema

    def values(self, schema: Schema) -> st.SearchStrategy[Any]:
        """Values that satisfy ``schema``."""
        schema = self.resolve(schema)
        if "anyOf" in schema:
            return st.one_of(*map(self.values, schema["anyOf"]))
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        match schema["type"]:
            case "string":
                text = st.from_regex(schema["pattern"], fullmatch=True) if "pattern" in schema else st.text()
                longest = schema.get("maxLength", 1_000)
                shortest = schema.get("minLength", 0)
                return text.filter(lambda value: shortest <= len(value) <= longest and not value.endswith("\n"))
            case "boolean":
                return st.booleans()
            case "number":
                return st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False, allow_infinity=False)
            case "integer":
                return st.integers(schema.get("minimum"), schema.get("maximum"))
            case "null":
                return st.none()
            case "object":
                properties = {name: self.values(each) for name, each in schema["properties"].items()}
                required = {name: properties.pop(name) for name in schema.get("required", ())}
                return st.fixed_dictionaries(required, optional=properties)
        raise NotImplementedError(schema["type"])

    def mismatches(self, value: Any, schema: Schema, at: str = "answer") -> Iterator[str]:
        """Everything in ``value`` that ``schema`` does not allow."""
        schema = self.resolve(schema)
        if "anyOf" in schema:
            if all(any(self.mismatches(value, each, at)) for each in schema["anyOf"]):
                yield f"{at}: {value!r} is none of {schema['anyOf']}"
            return
        kind = schema.get("type")
        if kind and (not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")):
            yield f"{at}: {value!r} is no {kind}"
            return
        if "enum" in schema and value not in schema["enum"]:
            yield f"{at}: {value!r} is not in {schema['enum']}"
        if "const" in schema and value != schema["const"]:
            yield f"{at}: {value!r} is not {schema['const']!r}"
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{at}: {value!r} is not like {schema['pattern']}"
        if isinstance(value, dict):
            yield from self._in_object(value, schema, at)
        if isinstance(value, list):
            for index, each in enumerate(value):
                yield from self.mismatches(each, schema["items"], f"{at}[{index}]")

    def _in_object(self, value: dict[str, Any], schema: Schema, at: str) -> Iterator[str]:
        properties, more = schema.get("properties", {}), schema.get("additionalProperties", True)
        yield from (f"{at}: {name} is missing" for name in schema.get("required", ()) if name not in value)
        for name, each in value.items():
            if name in properties:
                yield from self.mismatches(each, properties[name], f"{at}.{name}")
            elif isinstance(more, dict):
                yield from self.mismatches(each, more, f"{at}.{name}")
            elif not more:
                yield f"{at}: {name} may not be there"
