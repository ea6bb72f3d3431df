"""What a CRD says beyond types: rules, keys of lists, and columns. They stand on the model they guard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema


@dataclass(frozen=True)
class CelRule:
    """One rule that the API server checks at admission.

    `rule` is a CEL expression over `self`; `message` is for people: it names the field and what to write.
    `message_expression` is CEL that makes the message when it has to name values; `message` is then the fallback.
    """

    rule: str
    message: str
    message_expression: str | None = None
    field_path: str | None = None
    """Field below the guarded one that the API server's answer names, for example `.maxUnavailable`."""

    def as_schema(self) -> dict[str, str]:
        """Entry of `x-kubernetes-validations`."""
        entry = {"rule": self.rule, "message": self.message}
        if self.message_expression:
            entry["messageExpression"] = self.message_expression
        if self.field_path:
            entry["fieldPath"] = self.field_path
        return entry


@dataclass(frozen=True)
class Text:
    """Marks a text that has a pattern: the API server then refuses it in words instead of with the pattern.

    `noun` is what the text should be, `advice` what to write. The pattern stays on the field, where pydantic
    reads it; the CRD gets it as a rule.
    """

    noun: str
    advice: str

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The text's schema with a rule in the place of the pattern."""
        schema = handler(core)
        rule = CelRule(
            f"self.matches(r'{schema.pop('pattern')}')",
            f"{self.noun}: write {self.advice}",
            f"'%s is no {self.noun}; write {self.advice}'.format([self])",
        )
        return {**schema, "x-kubernetes-validations": [rule.as_schema()]}


@dataclass(frozen=True)
class ListKey:
    """Marks a list of objects as a map: server-side apply merges its entries by these keys."""

    keys: tuple[str, ...]

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Adds the two extensions to the list's schema."""
        return {
            **handler(core),
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": list(self.keys),
        }


@dataclass(frozen=True)
class ListSet:
    """Marks a list of texts as a set: none may be there twice."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Adds the extension to the list's schema."""
        return {**handler(core), "x-kubernetes-list-type": "set"}


@dataclass(frozen=True)
class PrinterColumn:
    """One column of `kubectl get psvc`. Priority 0 is always shown, 1 with `-o wide`."""

    name: str
    json_path: str
    description: str
    type: str = "string"
    priority: int = 0

    def as_schema(self) -> dict[str, str | int]:
        """Entry of `additionalPrinterColumns`."""
        return {
            "name": self.name,
            "type": self.type,
            "jsonPath": self.json_path,
            "description": self.description,
            "priority": self.priority,
        }


def _condition(field: str) -> str:
    return f".status.conditions[?(@.type=='Ready')].{field}"


COLUMNS = (
    PrinterColumn("Ready", _condition("status"), "Is it as wanted?"),
    PrinterColumn("Reason", _condition("reason"), "Why (not)?"),
    PrinterColumn("Version", ".status.version", "Which version is wanted?"),
    PrinterColumn("Pods", ".status.replicas.available", "How many pods serve?", type="integer"),
    PrinterColumn("URL", ".status.url", "Where does it answer?"),
    PrinterColumn("Since", _condition("lastTransitionTime"), "Since when is Ready what it is?", type="date"),
    PrinterColumn("Age", ".metadata.creationTimestamp", "How old is it?", type="date"),
    PrinterColumn("Image", ".status.image.wanted", "Which image is wanted?", priority=1),
    PrinterColumn("Message", _condition("message"), "What is the matter?", priority=1),
)
