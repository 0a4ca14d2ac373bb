"""Whether an artifact is whole, consistent and right on this machine."""

from thinkport.deploy.verification.check import Check, Verification
from thinkport.deploy.verification.verify import verify

__all__ = ["Check", "Verification", "verify"]
