"""A decision log says what was decided, or nothing: never something else, and it never breaks."""

from __future__ import annotations

import contextlib
import math

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from support.decisions import a_frame, header
from support.edge import NAMES

from secondlook.edge.control.allowance import Allowance
from secondlook.edge.decisions.blocks import MAGIC, Damage, block, blocks
from secondlook.edge.decisions.packing import pack, unpack
from secondlook.edge.decisions.records import FrameRecord, logged, logged_bytes
from secondlook.edge.gate import FrameEvidence, RiskGate, Terms
from secondlook.edge.pipeline_settings import GateSettings
from secondlook.shared.errors import InvalidInput

AMOUNT = st.floats(0, 1e9) | st.just(math.inf)


@st.composite
def frames(draw: st.DrawFn) -> FrameRecord:
    """A frame as a gate may meet it, NaN included, and what the gate says to it."""
    n = draw(st.integers(0, 8))

    def numbers(most: float) -> np.ndarray:
        elements = st.floats(0, most) | st.just(math.nan)
        return draw(arrays.arrays(np.float64, n, elements=elements))

    corners = draw(arrays.arrays(np.float32, (n, 4), elements=st.floats(-100, 16384, width=32)))
    names = draw(st.lists(st.sampled_from([*NAMES, "zebra", ""]), min_size=n, max_size=n))
    evidence = logged(
        FrameEvidence(
            camera="gate",
            sequence=draw(st.integers(0, 2**62)),
            boxes=np.concatenate([corners[:, :2], corners[:, :2] + np.abs(corners[:, 2:])], axis=1),
            names=tuple(names),
            track_ids=draw(
                arrays.arrays(np.int64, n, elements=st.integers(-1, 2**60), unique=True)
            ),
            scores=numbers(1),
            right=numbers(1),
            loss=numbers(1),
            verdict_age_s=numbers(1e6),
            in_flight=draw(arrays.arrays(np.bool_, n)),
            reasons=tuple(draw(st.sampled_from(["", "it moves"])) for _ in range(n)),
            background_age_s=draw(st.none() | st.floats(0, 1e6)),
            background_in_flight=draw(st.booleans()),
            questions=draw(st.integers(0, 300)),
        )
    )
    sizes = logged_bytes(draw(arrays.arrays(np.float64, n, elements=st.floats(0, 1e7))))
    terms = Terms(
        allowance=Allowance(
            draw(st.floats(0, 1)), draw(st.floats(0, 1)), draw(AMOUNT), draw(AMOUNT),
            draw(AMOUNT), draw(AMOUNT), draw(st.booleans()), ("2 KB/s",),
        ),
        certified_loss=draw(st.floats(0, 1) | st.just(math.inf)),
        audit_rate=draw(st.floats(0, 1)),
        bytes_of=lambda _: sizes,
        whole_bytes=draw(st.floats(0, 1e7)),
        coin=draw(st.floats(0, 1, exclude_max=True)),
    )  # fmt: skip
    choice = RiskGate(GateSettings()).choose(evidence, terms)
    return FrameRecord(evidence, terms, sizes, choice, (), 1.7e9, 5.0, 6.0, 320, 240)


@given(frames())
def test_the_gate_chooses_again_what_it_chose(record: FrameRecord) -> None:
    found = unpack(pack(record, NAMES), header())
    assert isinstance(found, FrameRecord)
    assert found.choice == record.choice
    # What a budget limits is told where it did limit: there it is needed, word for word.
    assert RiskGate(GateSettings()).choose(found.evidence, found.terms) == record.choice
    assert found.evidence.names == record.evidence.names
    np.testing.assert_array_equal(
        found.evidence.boxes, np.clip(np.rint(record.evidence.boxes), -32768, 32767)
    )
    # Once read, it is written the same.
    assert pack(found, NAMES) == pack(record, NAMES)


def small_file() -> tuple[bytes, list[bytes], list[int]]:
    """A file of three blocks, its records, and where each block ends."""
    packed = [pack(a_frame(n, 2), NAMES) for n in range(4)]
    parts = [block([pack(header())]), block(packed[:2]), block(packed[2:])]
    content = MAGIC + b"".join(parts)
    ends = [len(MAGIC) + sum(map(len, parts[: n + 1])) for n in range(3)]
    return content, [pack(header()), *packed], ends


def test_a_file_cut_at_any_byte_gives_what_was_whole_before() -> None:
    content, records, ends = small_file()
    for size in range(len(content) + 1):
        damage = Damage()
        found = [record for part in blocks(content[:size], damage) for record in part]
        whole = sum(end <= size for end in ends)
        assert found == records[: (0, 1, 3, 5)[whole]]
        assert damage.corrupt == 0
        assert damage.torn is (size > 0 and size not in (len(MAGIC), *ends))


def test_a_file_with_any_byte_changed_gives_the_other_blocks() -> None:
    content, records, ends = small_file()
    for at in range(len(MAGIC), len(content)):
        changed = bytearray(content)
        changed[at] ^= 0x55
        damage = Damage()
        found = [record for part in blocks(bytes(changed), damage) for record in part]
        hurt = sum(end <= at for end in ends)
        start, end = (0, 1, 3, 5)[hurt : hurt + 2]
        assert found == records[:start] + records[end:]
        assert damage.corrupt or damage.torn


@given(st.binary(max_size=400))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_in_a_record_are_told(body: bytes) -> None:
    for kind in range(8):
        with contextlib.suppress(InvalidInput):
            unpack(bytes([kind]) + body, header())


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_frame_with_a_byte_changed_is_a_frame_or_told(at: int, by: int) -> None:
    data = bytearray(pack(a_frame(3, 4), NAMES))
    data[1 + at % (len(data) - 1)] ^= by
    try:
        found = unpack(bytes(data), header())
    except InvalidInput:
        return
    # The checksum of its block would have told; what gets through is at least of the right shape.
    assert isinstance(found, FrameRecord)
    n = len(found.evidence)
    assert found.candidate_bytes.shape == found.evidence.loss.shape == (n,)
    assert all(index < n for index in (*found.choice.ask, *found.choice.left))


@given(st.binary(max_size=2000))
def test_any_bytes_after_the_magic_are_read_without_harm(rest: bytes) -> None:
    damage = Damage()
    assert list(blocks(MAGIC + rest, damage)) == []
    assert damage.torn or damage.corrupt or not rest
