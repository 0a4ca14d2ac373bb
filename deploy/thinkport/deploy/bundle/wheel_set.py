"""A complete and consistent set of wheels for a target: fetched in rounds until nothing is missing.

pip resolves for another platform but with the markers of its own, so what is required is read from the wheels here. A
version that somebody refuses is fetched again within what all accept; there is no going back to older versions of
those who refuse, and a contradiction is an error.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement

from thinkport.deploy.bundle.error import BundleError
from thinkport.deploy.bundle.requirement_walk import requirements_of, unmet
from thinkport.deploy.bundle.wheel import Wheel, wheels_in

ROUNDS = 30
Fetch = Callable[[Sequence[str], Path], None]


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


def requirements_text(wheels: Mapping[str, Wheel], hashes: Mapping[str, str]) -> str:
    """A requirements file with every version and sha256, as `pip install --require-hashes` takes it."""
    lines = [
        f"{name}=={wheel.version} --hash=sha256:{hashes[wheel.path.name]}\n" for name, wheel in sorted(wheels.items())
    ]
    return "".join(lines)
