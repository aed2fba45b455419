"""Budgets, prices and deadlines: what may be spent now, and what it has to bring."""

from secondlook.edge.control.allowance import Allowance, Infeasible

__all__ = ["Allowance", "Infeasible"]
