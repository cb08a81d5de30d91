"""What a published claim is tested with: studies, findings, effects, their pictures.

A study is a declaration, see `Study`; the scripts in ``analysis_scripts/`` are examples.
"""

from landscape.studies.associations import Association
from landscape.studies.averages import Average
from landscape.studies.data import Data
from landscape.studies.findings import Finding
from landscape.studies.measure import On, spectra
from landscape.studies.pictures.figures import Figure, Sweep
from landscape.studies.pictures.ladder import Ladder
from landscape.studies.rankings import Predicts, Ranking
from landscape.studies.study import Cohort, Size, Study
from landscape.studies.training import kind

__all__ = [
    "Association",
    "Average",
    "Cohort",
    "Data",
    "Figure",
    "Finding",
    "Ladder",
    "On",
    "Predicts",
    "Ranking",
    "Size",
    "Study",
    "Sweep",
    "kind",
    "spectra",
]
