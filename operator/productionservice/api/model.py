"""What every model of the resource stands on: base class, scalar types with their bounds, pieces of CEL."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

from productionservice.api.markers import CelRule, Text

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
Port = Annotated[int, Field(ge=1, le=65535)]
Quantity = Annotated[
    str,
    Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$", max_length=20),
    Text("amount", "one such as 250m, 2 or 128Mi"),
]
"""A Kubernetes quantity such as `250m`, `0.5`, `128Mi`. Signs, exponents and the rarest suffixes are left out."""
ObjectName = Annotated[
    str,
    Field(min_length=1, max_length=253, pattern=f"^{_LABEL}([.]{_LABEL})*$"),
    Text("name of an object", "lower-case letters, digits, - and ."),
]
NamespaceName = Annotated[
    str,
    Field(min_length=1, max_length=63, pattern=f"^{_LABEL}$"),
    Text("name of a namespace", "lower-case letters, digits and -"),
]
ServiceName = Annotated[
    str,
    Field(min_length=1, max_length=63, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$"),
    Text("name of a service", "lower-case letters, digits and -, beginning with a letter"),
]
HttpPath = Annotated[
    str,
    Field(min_length=1, max_length=256, pattern=r"^/[^\s]*$"),
    Text("path", "one that begins with / and has no spaces, such as /readyz"),
]
Word = Annotated[str, Field(max_length=4096)]


def exactly_one(*fields: str) -> str:
    """CEL: of these fields of `self`, one is given and the others are not."""
    return f"[{', '.join(f'has(self.{field})' for field in fields)}].exists_one(given, given)"


class Model(BaseModel):
    """Base of every model: camelCase outside, frozen, and an unknown field is an error."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    RULES: ClassVar[tuple[CelRule, ...]] = ()
    """What the API server checks beyond types."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema with this model's rules."""
        schema = handler.resolve_ref_schema(handler(core))
        if cls.RULES:
            schema["x-kubernetes-validations"] = [rule.as_schema() for rule in cls.RULES]
        return schema


class ZoneSpread(StrEnum):
    """How strictly replicas are spread over zones."""

    PREFERRED = "Preferred"
    REQUIRED = "Required"
    IGNORED = "Ignored"
