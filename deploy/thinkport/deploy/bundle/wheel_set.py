"""A complete and consistent set of wheels for a target: fetched in rounds until nothing is missing.

pip resolves for another platform but with the markers of its own, so what is required is read from the wheels here. A
version that somebody refuses is fetched again within what all accept; there is no going back to older versions of
those who refuse, and a contradiction is an error.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from thinkport.deploy.bundle.wheel import BundleError, Wheel, wheels_in

ROUNDS = 30
Fetch = Callable[[Sequence[str], Path], None]


@dataclass
class Wanted:
    """One project: the versions that all who require it agree on, and the extras that they ask for."""

    versions: SpecifierSet = field(default_factory=SpecifierSet)
    extras: set[str] = field(default_factory=set)


def complete(
    roots: Sequence[Requirement], folder: Path, environment: Mapping[str, str], fetch: Fetch
) -> dict[str, Wheel]:
    """Fetch into a folder, which may hold wheels already, all that the roots need; returns those needed, by name.

    Raises:
        BundleError: a wheel can't be had, or requirements contradict one another.
    """
    for _ in range(ROUNDS):
        wheels = wheels_in(folder)
        wanted = requirements_of(roots, wheels, environment)
        missing = unmet(wanted, wheels)
        if not missing:
            return {name: wheels[name] for name in sorted(wanted)}
        with TemporaryDirectory(dir=folder) as new:
            fetch([f"{name}{one.versions}" for name, one in sorted(missing.items())], Path(new))
            for name, wheel in wheels_in(Path(new)).items():
                if name in wheels:
                    wheels[name].path.unlink()
                wheel.path.rename(folder / wheel.path.name)
    raise BundleError(f"the requirements of {', '.join(missing)} did not settle in {ROUNDS} rounds: pin one of them")


def requirements_of(
    roots: Iterable[Requirement], wheels: Mapping[str, Wheel], environment: Mapping[str, str]
) -> dict[str, Wanted]:
    """Everything that the roots need, as far as the wheels tell; a project without a wheel leads no further."""
    wanted: dict[str, Wanted] = {}
    seen: set[str] = set()
    todo = list(roots)
    while todo:
        one = todo.pop()
        name = str(canonicalize_name(one.name))
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
    return {
        name: one
        for name, one in wanted.items()
        if name not in wheels or not one.versions.contains(wheels[name].version, prereleases=True)
    }


def _asked(wheel: Wheel, extra: str, environment: Mapping[str, str]) -> list[Requirement]:
    values = {**environment, "extra": extra}
    return [
        one
        for one in wheel.requirements
        if (one.marker is None and not extra) or (one.marker is not None and one.marker.evaluate(values))
    ]
