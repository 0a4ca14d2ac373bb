"""What every part of a manifest is."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Frozen, without unknown keys, and no value is bent into its type; NaN and infinity are no numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
