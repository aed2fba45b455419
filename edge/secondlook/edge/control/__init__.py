"""Budgets, prices and deadlines: what may be spent now, and what it has to bring."""

from secondlook.edge.control.allowance import Allowance, Infeasible
from secondlook.edge.control.controller import Controller
from secondlook.edge.control.link import CloudCost, Forecast, Link
from secondlook.edge.control.offload import Offload, offload
from secondlook.edge.control.reservation import Reservation
from secondlook.edge.control.settings import BudgetSettings, CameraBudget
from secondlook.edge.control.sharing import Claim, Share, share

__all__ = [
    "Allowance",
    "BudgetSettings",
    "CameraBudget",
    "Claim",
    "CloudCost",
    "Controller",
    "Forecast",
    "Infeasible",
    "Link",
    "Offload",
    "Reservation",
    "Share",
    "offload",
    "share",
]
