"""The widest vector instructions, from what Linux says about the CPU."""

from __future__ import annotations

import pytest

from edge_runtime.inference.cpu import instruction_set

# Shortened from machines of their kind; only the flags matter.
SAMPLES = {
    "Sapphire Rapids": (
        "flags\t\t: fpu sse2 avx avx2 avx512f avx512_vnni avx512_bf16 amx_bf16 amx_int8",
        "AMX",
    ),
    "Cooper Lake": ("flags\t\t: fpu avx avx2 avx512f avx512_vnni avx512_bf16", "AVX-512 VNNI BF16"),
    "Cascade Lake": ("flags\t\t: fpu avx avx2 fma avx512f avx512bw avx512_vnni", "AVX-512 VNNI"),
    "Skylake-X": ("flags\t\t: fpu avx avx2 fma avx512f avx512bw", "AVX-512"),
    "Alder Lake": ("flags\t\t: fpu avx f16c avx2 avx_vnni", "AVX-VNNI"),
    "Haswell": ("flags\t\t: fpu sse4_2 avx avx2 bmi2", "AVX2"),
    "Sandy Bridge": ("flags\t\t: fpu sse4_2 avx", "AVX"),
    "Atom": ("flags\t\t: fpu sse2 ssse3", "baseline"),
    "Neoverse V1": ("Features\t: fp asimd atomics asimdhp asimddp sve i8mm bf16", "NEON i8mm"),
    "Raspberry Pi 5": ("Features\t: fp asimd evtstrm aes asimdhp asimddp", "NEON dot product"),
    "Raspberry Pi 4": ("Features\t: fp asimd evtstrm crc32 cpuid", "NEON"),
    "nothing": ("processor\t: 0\nmodel name\t: x", "unknown"),
    "other flags only": ("vmx flags\t: avx2 ept\nbugs\t\t: avx512f", "unknown"),
}


@pytest.mark.parametrize(("line", "name"), SAMPLES.values(), ids=SAMPLES)
def test_the_widest_instruction_set_is_named(tmp_path, line, name):
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nvendor_id\t: é\n{line}\n\nprocessor\t: 1\n{line}\n", "utf-8")
    assert instruction_set(file) == name


def test_where_the_system_does_not_say_it_is_unknown(tmp_path):
    assert instruction_set(tmp_path / "missing") == "unknown"
    assert instruction_set(tmp_path) == "unknown"
