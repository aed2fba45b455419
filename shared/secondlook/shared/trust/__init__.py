"""Trust: what is promised about missed objects, how audits prove it, and what breaks it."""

from secondlook.shared.trust.betting import (
    Monitor,
    certifying_bound,
    certifying_log_e,
    monitor_log_e,
)
from secondlook.shared.trust.bounds import (
    audits_needed,
    certifying_power,
    clopper_pearson,
    hoeffding_bentkus,
    hoeffding_bentkus_p,
)
from secondlook.shared.trust.certificate import (
    SEND_ALL,
    UNKNOWN,
    Basis,
    Certificate,
    Walk,
    certify,
    estimates,
    walk,
)
from secondlook.shared.trust.coin import AuditCoin
from secondlook.shared.trust.counts import AuditCounts
from secondlook.shared.trust.keeper import TrustKeeper
from secondlook.shared.trust.meter import TrustMeter
from secondlook.shared.trust.pooling import SITE_CAMERA, Pooled, pool
from secondlook.shared.trust.records import (
    as_record,
    certificate_of,
    counts_of,
    newest_certificate,
    window_key,
)
from secondlook.shared.trust.scoring import lowest_risk
from secondlook.shared.trust.settings import TrustSettings
from secondlook.shared.trust.site import SiteCertifier
from secondlook.shared.trust.status import TrustChange, TrustState, TrustStatus
from secondlook.shared.trust.tracker import ThresholdTracker

__all__ = [
    "SEND_ALL",
    "SITE_CAMERA",
    "UNKNOWN",
    "AuditCoin",
    "AuditCounts",
    "Basis",
    "Certificate",
    "Monitor",
    "Pooled",
    "SiteCertifier",
    "ThresholdTracker",
    "TrustChange",
    "TrustKeeper",
    "TrustMeter",
    "TrustSettings",
    "TrustState",
    "TrustStatus",
    "Walk",
    "as_record",
    "audits_needed",
    "certificate_of",
    "certify",
    "certifying_bound",
    "certifying_log_e",
    "certifying_power",
    "clopper_pearson",
    "counts_of",
    "estimates",
    "hoeffding_bentkus",
    "hoeffding_bentkus_p",
    "lowest_risk",
    "monitor_log_e",
    "newest_certificate",
    "pool",
    "walk",
    "window_key",
]
