"""The work of ``secondlook calibrate``: watch, choose, score, measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from importlib.metadata import version

import anyio.to_thread

from secondlook.cli.calibrate.choosing import COLD, LEAST_GROUPS, BranchName, choose
from secondlook.cli.calibrate.footage import Eyes, Footage, watch
from secondlook.cli.calibrate.job import Calibration
from secondlook.cli.calibrate.promising import Tally, best_point, measure
from secondlook.cli.calibrate.scoring import edge_only, plain
from secondlook.cli.price.comparison import OtherFrames
from secondlook.cli.price.models import load_model
from secondlook.cli.price.plan import Plan
from secondlook.cli.price.session import Watch
from secondlook.cli.price.systems import Bench
from secondlook.cli.price.tiers import Cloud, comparison_cloud
from secondlook.edge.carrier import MosaicCarrier, make_carrier
from secondlook.edge.gate.gate_file import GateFile
from secondlook.edge.gate.gate_parts import (
    Branch,
    BranchChoice,
    Branches,
    ClipPoints,
    ClipScore,
    Goal,
    ModelId,
    Promise,
)
from secondlook.edge.gate.opening import promised_settings
from secondlook.edge.gate.risk import RiskModel, cold_start
from secondlook.shared.detect import Detector, ModelInfo
from secondlook.shared.errors import InvalidInput
from secondlook.shared.measure import Metric, classes_of_interest

_MAY_LOSE_F1 = 0.01
"""What a clip that was left out may lose against the cold start, F1, by a model of the others."""
_MADE_BY = f"secondlook {version('secondlook')}"
Choices = dict[BranchName, BranchChoice]


async def calibrate(job: Calibration) -> GateFile:
    """Do all of it; what it takes long for is shown on standard error.

    Raises:
        InvalidInput: the models share no class, a clip is empty, or changed while it was watched.
        InvalidModel: a model cannot be used.
        SourceError: a clip cannot be opened or decoded.
    """
    with Watch() as progress:
        progress.begin("loading the models", None)
        light = await anyio.to_thread.run_sync(load_model, job.edge_model, "--edge-model")
        try:
            heavy = await anyio.to_thread.run_sync(load_model, job.cloud_model, "--cloud-model")
            try:
                return await _calibrate(job, light, heavy, progress)
            finally:
                heavy.close()
        finally:
            light.close()


async def _calibrate(
    job: Calibration, light: Detector, heavy: Detector, progress: Watch
) -> GateFile:
    metric = Metric(classes_of_interest(job.classes, light.info.names, heavy.info.names))
    async with comparison_cloud(heavy) as cloud:
        eyes = Eyes(light, job.edge_model, cloud.heavy, metric, job.pipeline)
        footages = []
        for url in (*job.clips, *job.holdout):
            progress.begin(f"watching {url}", job.max_frames)
            footages.append(
                await watch(
                    _plan(job, url),
                    eyes,
                    held_out=url in job.holdout,
                    on_frame=progress.done,
                    on_total=progress.expect,
                )
            )
        trained = footages[: len(job.clips)]
        progress.begin("choosing the model", None)
        risk, choices = await anyio.to_thread.run_sync(_chosen, job, trained, None)
        scores = []
        for footage in footages:
            progress.begin(f"scoring {footage.facts.name}", None)
            scores.append(
                await anyio.to_thread.run_sync(_score, job, metric, footage, trained, risk)
            )
        if not all(map(_carries_over, scores)):
            risk, choices = _without_learned_sights(risk, choices)
            scores = [score.model_copy(update={"trained": score.cold}) for score in scores]
        promise = None
        if job.thresholds:
            promise = await _promise(job, light.info, cloud, metric, footages, risk, progress)
    threshold, goal = _threshold(job, promise)
    return GateFile(
        note=job.note,
        made_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        made_by=_MADE_BY,
        light=ModelId(name=light.info.name, version=light.info.version),
        heavy=ModelId(name=heavy.info.name, version=heavy.info.version),
        classes=metric.classes or (),
        threshold=threshold,
        risk=_branches(risk, choices),
        choices=choices,
        clips=tuple(footage.facts for footage in footages),
        scores=tuple(scores),
        promise=promise,
        goal=goal,
    )


def _plan(job: Calibration, url: str) -> Plan:
    return Plan(
        url,
        analysis_fps=job.analysis_fps,
        clip_fps=job.clip_fps,
        max_frames=job.max_frames,
        pipeline=job.pipeline,
        verdict_latency_s=job.verdict_latency_s,
        cache=job.cache,
        cloud_model=job.cloud_model,
    )


def _chosen(
    job: Calibration, footages: Sequence[Footage], without: Footage | None, end: int | None = None
) -> tuple[RiskModel, Choices]:
    """The model of some clips.

    Args:
        job: says for which cameras it is.
        footages: the clips.
        without: left out.
        end: of the clip ``without``, the frames before this one count all the same: those that
            follow are left out.
    """
    if not job.same_cameras:
        return choose([one.lessons for one in footages if one is not without])
    groups = []
    for one in footages:
        if one is not without:
            groups += one.blocks()
        elif end is not None:
            groups += one.blocks(end)
    return choose(groups)


def _score(
    job: Calibration,
    metric: Metric,
    footage: Footage,
    trained: Sequence[Footage],
    risk: RiskModel,
) -> ClipScore:
    def f1(model: RiskModel) -> float:
        return round(edge_only(footage, model, job.pipeline, metric), 4)

    left_out = None
    if footage in trained and len(trained) > 1:
        left_out = f1(_chosen(job, trained, footage)[0])
    return ClipScore(
        clip=footage.facts.name,
        plain=round(plain(footage, metric), 4),
        cold=f1(cold_start()),
        trained=f1(risk),
        left_out=left_out,
    )


async def _promise(
    job: Calibration,
    light: ModelInfo,
    cloud: Cloud,
    metric: Metric,
    footages: Sequence[Footage],
    risk: RiskModel,
    progress: Watch,
) -> Promise:
    """Measure every clip with a model that has not seen what it is measured on."""
    trained = footages[: len(job.clips)]
    measured = footages[len(job.clips) :] if job.holdout else trained
    pooled: list[Tally] = []
    clips = []
    for number, footage in enumerate(measured):
        begin = max(0, len(footage) - job.promise_frames)
        if job.same_cameras and not job.holdout:
            # At least half of the clip is there to learn from.
            begin = max(begin, len(footage) // 2)
        progress.begin(f"measuring {footage.facts.name}", len(footage) - begin)
        model = risk
        if not job.holdout:
            model, _ = await anyio.to_thread.run_sync(_chosen, job, trained, footage, begin)
        bench = Bench(
            cloud,
            light.names,
            metric,
            job.analysis_fps,
            (0.0, 1.0),
            job.verdict_latency_s,
            seed=0,
            risk=model,
        )
        try:
            tallies = await measure(
                _plan(job, footage.url),
                footage,
                begin,
                bench,
                job.thresholds,
                f"clip{number}",
                progress.done,
            )
        except OtherFrames:
            raise InvalidInput(
                f"{footage.url} shows other frames than when it was watched",
                remedy="give footage that is the same each time, or use --no-promise",
            ) from None
        pooled = [a + b for a, b in zip(pooled, tallies, strict=True)] if pooled else tallies
        points = tuple(tally.point() for tally in tallies)
        clips.append(ClipPoints(clip=footage.facts.name, points=points))
    mosaic = isinstance(make_carrier(job.pipeline), MosaicCarrier)
    return Promise(
        how=_how(job, len(trained)),
        carrier="mosaic" if mosaic else "canvas",
        verdict_latency_s=job.verdict_latency_s,
        settings=promised_settings(job.pipeline),
        points=tuple(tally.point() for tally in pooled),
        clips=tuple(clips),
    )


def _how(job: Calibration, clips: int) -> str:
    frames = f"the last {job.promise_frames} frames of each clip at most"
    if job.holdout:
        return f"{frames} that was held out, with the model of this file"
    if job.same_cameras:
        return f"{frames}, with a model of what came before them"
    if clips > LEAST_GROUPS:
        return f"{frames}, with a model of the other clips"
    return f"{frames}, with the cold-start rule: too few other clips to learn from"


def _threshold(job: Calibration, promise: Promise | None) -> tuple[float, Goal]:
    goal = Goal(budget_kb_per_frame=job.budget_kb_per_frame, accuracy=job.accuracy)
    if promise is None or (job.budget_kb_per_frame is None and job.accuracy is None):
        return job.pipeline.gate.threshold, goal
    point, met = best_point(promise.points, job.budget_kb_per_frame, job.accuracy)
    return point.threshold, goal.model_copy(update={"met": met})


def _carries_over(score: ClipScore) -> bool:
    """Whether the way in which the model was made would have served this clip, left out."""
    unseen = score.left_out
    return unseen is None or unseen >= score.cold - _MAY_LOSE_F1


def _without_learned_sights(risk: RiskModel, choices: Choices) -> tuple[RiskModel, Choices]:
    """The model with the cold start where no verdict is known: only there F1 has told."""
    cold = cold_start()
    kept = dict(choices)
    for name in ("present", "same_class"):
        kept[name] = choices[name].model_copy(
            update={"basis": COLD, "penalty": 0.0, "loss": choices[name].cold_loss,
                    "worst_gain": 0.0}
        )  # fmt: skip
    return replace(risk, present=cold.present, same_class=cold.same_class), kept


def _branches(risk: RiskModel, choices: Choices) -> Branches:
    return Branches(
        present=Branch.of(risk.present, choices["present"].basis),
        same_class=Branch.of(risk.same_class, choices["same_class"].basis),
        confirmed=Branch.of(risk.confirmed, choices["confirmed"].basis),
        refuted=Branch.of(risk.refuted, choices["refuted"].basis),
    )
