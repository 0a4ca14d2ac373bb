"""Whether a certificate can be of the graph that it speaks of: its figures beside what the goldens give here.

Whoever changes weights can write the hashes anew and better figures than the graph has. The goldens then tell, as long
as they are the checkpoint's own; whoever makes those up too is found out by `--checkpoint`, or by a signature.
"""

from thinkport.runtime.artifact.certificate import Figure, GoldenScore, VectorFigure

# How far a figure may be from what is measured here: other texts than the goldens are in it, and machines round
# otherwise. Measured on real and made-up models: figures of all texts are within a third of the goldens' or worse.
_SLACK, _SHARE = 0.02, 0.5
_TIMES = 8  # that goldens may diverge more than texts do: random ids are among them


def contradiction(found: GoldenScore, recorded: GoldenScore, figure: Figure | VectorFigure) -> str | None:
    """What a certificate says that goldens contradict, in words; None where they agree.

    `found` is the score, as it is here, of the goldens that the graph answered at export; `recorded` is that of then.
    """
    if found.rows != recorded.rows:
        return f"the certificate has a score of {recorded.rows} positions, and the goldens have {found.rows}"
    better = found.correlation - recorded.correlation
    if better > _SLACK + _SHARE * (1 - found.correlation):
        return (
            f"the certificate records that logits correlate {recorded.correlation:.3f}, and on the goldens they do "
            f"{found.correlation:.3f}"
        )
    if recorded.kl > found.kl * (1 + _SHARE) + _SLACK:
        return f"the certificate records {recorded.kl:.3f} nats of divergence, and the goldens give {found.kl:.3f}"
    if not isinstance(figure, Figure):
        return None
    if abs(figure.correlation - found.correlation) > 5 * _SLACK + _SHARE * (1 - found.correlation):
        return (
            f"the certificate says that logits correlate {figure.correlation:.3f}, and on the goldens they do "
            f"{found.correlation:.3f}"
        )
    if figure.kl_mean < found.kl / _TIMES - _SLACK / 2:
        return f"the certificate says {figure.kl_mean:.3g} nats of mean divergence, and the goldens give {found.kl:.3g}"
    return None
