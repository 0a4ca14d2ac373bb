"""What every part of a manifest is."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Frozen, without unknown keys, and no value is bent into its type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
