"""The self-test of a site: from audits, which way of working pays at a camera."""

from secondlook.edge.selftest.modes import Mode
from secondlook.edge.selftest.settings import SelftestSettings
from secondlook.edge.selftest.site import SiteTest
from secondlook.edge.selftest.worth import ModeChange, Worth

__all__ = ["Mode", "ModeChange", "SelftestSettings", "SiteTest", "Worth"]
