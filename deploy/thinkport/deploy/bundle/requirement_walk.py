"""What a set of wheels requires on a target, from some roots on: markers are the target's, not this machine's."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from thinkport.deploy.bundle.wheel import Wheel, normalized


@dataclass
class Wanted:
    """One project: the versions that all who require it agree on, and the extras that they ask for."""

    versions: SpecifierSet = field(default_factory=SpecifierSet)
    extras: set[str] = field(default_factory=set)

    def met_by(self, wheel: Wheel | None) -> bool:
        """Whether a wheel is there and of a version that all accept."""
        return wheel is not None and self.versions.contains(wheel.version, prereleases=True)


def requirements_of(
    roots: Iterable[Requirement], wheels: Mapping[str, Wheel], environment: Mapping[str, str]
) -> dict[str, Wanted]:
    """Everything that the roots need, as far as the wheels tell; a project without a wheel leads no further."""
    wanted: dict[str, Wanted] = {}
    seen: set[str] = set()
    todo = list(roots)
    while todo:
        one = todo.pop()
        name = normalized(one.name)
        entry = wanted.setdefault(name, Wanted())
        entry.versions &= one.specifier
        entry.extras |= one.extras
        for extra in ("", *one.extras):
            if (key := f"{name}[{extra}]") not in seen and name in wheels:
                seen.add(key)
                todo += _asked(wheels[name], extra, environment)
    return wanted


def unmet(wanted: Mapping[str, Wanted], wheels: Mapping[str, Wheel]) -> dict[str, Wanted]:
    """The projects whose wheel is missing or of a version that somebody refuses."""
    return {name: one for name, one in wanted.items() if not one.met_by(wheels.get(name))}


def _asked(wheel: Wheel, extra: str, environment: Mapping[str, str]) -> list[Requirement]:
    values = {**environment, "extra": extra}
    return [
        one
        for one in wheel.requirements
        if (one.marker is None and not extra) or (one.marker is not None and one.marker.evaluate(values))
    ]
