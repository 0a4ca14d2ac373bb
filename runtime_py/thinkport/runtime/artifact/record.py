"""What every part of a manifest is."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Frozen, without unknown keys, and no value is bent into its type; NaN and infinity are no numbers."""

    # Each kind's validator is built at its first use: a manifest has one for all its parts.
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
