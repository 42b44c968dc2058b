"""Patients: gestational age, and biometry from published growth charts.

Head, abdomen and femur follow the INTERGROWTH-21st fetal growth standards (Papageorghiou et al.,
Lancet 384:869, 2014: mean and SD of HC, BPD, OFD, AC, FL by exact gestational age), the cerebellum
the standard of Rodriguez-Sibaja et al. (Ultrasound Obstet Gynecol 57:614, 2021). The charts begin
at 14 weeks: in the first trimester (11 to 14) their means are continued to younger ages, and the
spread is that share of the mean which it is at 14 weeks.
"""

from dataclasses import dataclass
from math import exp, log

import numpy as np

from awcl.data.ellipse import Ellipse

WEEKS = {"first": (11.0, 14.0), "second": (18.0, 22.0)}
CHART_BEGINS = 14.0  # weeks


def hc(week: float) -> tuple[float, float]:
    """Head circumference, mean and SD in mm."""
    mean = -28.2849 + 1.69267 * week**2 - 0.397485 * week**2 * log(week)
    sd = 1.98735 + week**3 * (0.0136772 - 0.00726264 * log(week) + 0.000976253 * log(week) ** 2)
    return mean, sd


def bpd(week: float) -> tuple[float, float]:
    """Biparietal diameter, outer to outer, mean and SD in mm."""
    cubic = 0.00150557 - 0.000771535 * log(week) + 0.0000999638 * log(week) ** 2
    return 5.60878 + 0.158369 * week**2 - 0.00256379 * week**3, exp(0.101242 + week**3 * cubic)


def ofd(week: float) -> tuple[float, float]:
    """Occipitofrontal diameter, mean and SD in mm."""
    square = 0.0631165 - 0.0317136 * log(week) + 0.00408302 * log(week) ** 2
    mean = -12.4097 + 0.626342 * week**2 - 0.148075 * week**2 * log(week)
    return mean, exp(-0.880034 + week**2 * square)


def ac(week: float) -> tuple[float, float]:
    """Abdominal circumference, mean and SD in mm."""
    sd = -4.36302 + 0.121445 * week**2 - 0.0130256 * week**3 + 0.00282143 * week**3 * log(week)
    return -81.3243 + 11.6772 * week - 0.000561865 * week**3, sd


def fl(week: float) -> tuple[float, float]:
    """Femur length, mean and SD in mm."""
    sd = exp(0.605843 - 42.0014 / week**2 + 0.00000917972 * week**3)
    return -39.9616 + 4.32298 * week - 0.0380156 * week**2, sd


def tcd(week: float) -> tuple[float, float]:
    """Transcerebellar diameter, mean and SD in mm."""
    return 6.9519 + 0.03327 * week**2, -0.5177 + 0.0772 * week


@dataclass(frozen=True)
class Biometry:
    """A patient's gestational age in weeks, and sizes in mm. bpd and ofd are the ellipse of hc."""

    weeks: float
    hc: float
    bpd: float
    ofd: float
    ac: float
    fl: float
    tcd: float


def draw(trimester: str, rng: np.random.Generator) -> Biometry:
    """A patient of a trimester ('first' or 'second'); large ones are large throughout."""
    weeks = rng.uniform(*WEEKS[trimester])
    common = rng.normal()
    sizes = {c.__name__: _sized(c, weeks, common, rng) for c in (hc, ac, fl, tcd)}
    charted = max(weeks, CHART_BEGINS)  # two charts continued apart would bend the head
    shape = (bpd(charted)[0] / ofd(charted)[0]) * np.clip(rng.normal(1, 0.03), 0.93, 1.07)
    scale = sizes["hc"] / Ellipse((0, 0), (0.5, shape / 2), 0).perimeter
    return Biometry(weeks, bpd=shape * scale, ofd=scale, **sizes)


def _sized(chart, weeks: float, common: float, rng: np.random.Generator) -> float:
    mean, sd = chart(weeks)
    if weeks < CHART_BEGINS:
        at_start = chart(CHART_BEGINS)
        sd = mean * at_start[1] / at_start[0]
    z = np.clip(0.8 * common + 0.6 * rng.normal(), -2, 2)
    return float(mean + z * sd)
