"""What every kind of record has: a schema with a version, a merge rule, and strict reading."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from typing_extensions import Self

from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.merging import DEFAULT, Rule
from secondlook.shared.memory.record import Document, encode

MAX_COUNT = 10**11
"""Highest value of a counter; 100 a second for 30 years."""

EpochSeconds = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]
"""Wall clock, seconds since the Unix epoch."""
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class Kind(BaseModel):
    """The data of one kind of record, immutable.

    A subclass states its name, the version of its schema and how two changes of it are merged.
    A change of the fields that older readers would refuse raises ``SCHEMA`` by one, and `upgrade`
    learns to read the schema before it.

    Raises:
        pydantic.ValidationError: a field is wrong; a ``ValueError``. `of` raises our own error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    KIND: ClassVar[str]
    """The third segment of the record's id."""
    SCHEMA: ClassVar[int] = 1
    RULE: ClassVar[Rule] = DEFAULT

    def document(self) -> dict[str, Any]:
        """The data to save: ``schema``, and the fields that are not null."""
        return {"schema": self.SCHEMA, **self.model_dump(mode="json", exclude_none=True)}

    @classmethod
    def of(cls, document: Document) -> Self:
        """Read what `document` wrote, of this schema or an older one.

        Raises:
            InvalidInput: names the field, or the schema where that is newer than ours.
        """
        encode(document)
        fields = {name: value for name, value in document.items() if name != "schema"}
        for schema in range(cls._schema_of(document), cls.SCHEMA):
            fields = cls.upgrade(schema, fields)
        try:
            # JSON, not Python: its lists may become tuples, and yet no text becomes a number.
            return cls.model_validate_json(encode(fields))
        except ValidationError as error:
            raise InvalidInput(f"{cls.KIND}: {_first_problem(error)}") from error

    @classmethod
    def upgrade(cls, schema: int, fields: dict[str, Any]) -> dict[str, Any]:
        """Turn fields of ``schema`` into those of the next one.

        The fields have not been checked yet; what comes out will be.
        """
        return fields

    @classmethod
    def _schema_of(cls, document: Document) -> int:
        schema = document.get("schema")
        if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
            raise InvalidInput(f"{cls.KIND}: schema: a whole number from 1 on expected")
        if schema > cls.SCHEMA:
            raise InvalidInput(
                f"schema {schema} of kind {cls.KIND!r}; this Secondlook knows up to {cls.SCHEMA}",
                remedy="a newer Secondlook wrote it: upgrade this one",
            )
        return schema


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
