"""A run as JSON; more keys may come, none goes."""

from __future__ import annotations

from typing import Any

from secondlook.cli.bench.links.figures import CameraOutcome
from secondlook.cli.bench.links.outcome import LinkOutcome


def document_of(found: LinkOutcome) -> dict[str, Any]:
    """As in the JSON."""
    recorded, plan = found.recorded, found.recorded.plan
    link = plan.link
    return {
        "link": link.name,
        "up_kbit_s": link.up_kbit_s,
        "outage_s": [link.down_from_s, link.down_for_s] if link.down_from_s is not None else None,
        "seconds": round(recorded.ended_s - recorded.began_s, 1),
        "fps": plan.fps,
        "budget_kb_per_s": plan.kb_per_s,
        "burst_s": plan.burst_s,
        "up_kb": round(sum(item.size for item in recorded.up) / 1000, 1),
        "down_kb": round(sum(item.size for item in recorded.down) / 1000, 1),
        "connections": recorded.traffic.connections,
        "most_kb": {f"{s:g}": round(sent / 1000, 1) for s, sent in found.most.items()},
        "allowed_kb": {f"{s:g}": round(plan.allowed(s) / 1000, 1) for s in found.most},
        "phases": [
            {
                "name": one.name,
                "from_s": round(one.from_s, 1),
                "to_s": round(one.to_s, 1),
                "fps": round(one.fps, 2),
                "up_kb_per_s": round(one.up_kb_per_s, 2),
                "revisions": one.revisions,
                "edge_cpu_ms_per_answer": round(one.cpu_ms, 1),
                "cores": round(one.cores, 3),
            }
            for one in found.phases
        ],
        "outages_noticed_s": recorded.log.outages,
        "spool": found.spool,
        "most_on_disk": max((count for _, count in recorded.held), default=0),
        "cameras": [_camera_document(one) for one in found.cameras],
        "warnings": dict(recorded.log.problems),
        "broken": list(found.broken),
        "remarks": list(found.remarks),
    }


def _camera_document(one: CameraOutcome) -> dict[str, Any]:
    quality = one.quality
    return {
        "camera": one.camera.name,
        "url": one.camera.url,
        "captured": one.captured,
        "answered": one.answered,
        "in_hand": one.in_hand,
        "dropped": one.dropped,
        "fps": round(one.fps, 3),
        "answer_p95_ms": None if one.latency_s.p95 is None else round(1000 * one.latency_s.p95, 1),
        "asked": one.asked,
        "audits": one.audits,
        "audits_decided": one.audits_decided,
        "lost_audits": one.lost_audits,
        "verdicts": one.verdicts,
        "late_verdicts": one.late_verdicts,
        "revisions": one.revisions,
        "unpaid": one.unpaid,
        "offline": one.offline,
        "lost": one.lost,
        "spooled": one.spooled,
        "dear_share": round(one.dear, 4),
        "spent_kb_per_s": round(one.spent_kb_per_s, 3),
        "granted_kb_per_s": round(one.granted_kb_per_s, 3),
        "why": one.why,
        "price": round(one.price, 4),
        "slo": one.slo,
        "trust": one.trust,
        "spoilt": list(one.spoilt),
        "f1_first": None if quality is None else round(quality.first, 4),
        "f1_final": None if quality is None else round(quality.final, 4),
    }
