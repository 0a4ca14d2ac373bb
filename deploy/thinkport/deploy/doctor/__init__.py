"""Examines a machine and an artifact on it: what runs, why, and what to do about the rest."""

from thinkport.deploy.doctor.examination import Examination, Trial, examine
from thinkport.deploy.doctor.finding import Finding, Severity

__all__ = ["Examination", "Finding", "Severity", "Trial", "examine"]
