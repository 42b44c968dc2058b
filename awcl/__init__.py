"""Anatomy-aware contrastive learning (AWCL) for fetal ultrasound, run as one comparable study.

Method: Fu et al., Anatomy-Aware Contrastive Representation Learning for Fetal Ultrasound,
ECCV 2022 workshops, arXiv 2208.10642.
"""

__version__ = "0.1.0"
