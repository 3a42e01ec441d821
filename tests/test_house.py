"""The check of the house finds what it is there to find."""

from __future__ import annotations

import check_house


def findings(text: str, path: str = "src/tensor/x.rs") -> list[str]:
    return check_house.unsafe_findings(path, text)


def test_unsafe_outside_its_rooms_is_found() -> None:
    assert "outside its rooms" in findings("// SAFETY: no\nunsafe { f() }\n", "src/ops/x.rs")[0]


def test_unsafe_without_a_reason_is_found() -> None:
    assert "without" in findings("fn f() {\n    unsafe { g() }\n}\n")[0]
    assert "without" in findings("// SAFETY: of another\nlet x = 1;\nunsafe { g() }\n")[0]


def test_unsafe_with_a_reason_passes() -> None:
    assert not findings("// SAFETY: the pointer is valid\nunsafe { g() }\n")
    assert not findings("// SAFETY: valid\nlet x =\n    unsafe { g() };\n")
    assert not findings("/// # Safety\n/// The pointer is valid.\n#[inline]\npub unsafe fn g() {}\n")


def test_unsafe_in_comments_texts_and_types_is_no_use() -> None:
    assert not findings('// unsafe\nlet x = "unsafe { }";\ntype F = unsafe fn(usize);\n', "src/ops/x.rs")
    assert not findings('let c = \'"\'; let d = r#"unsafe { }"#;\n', "src/ops/x.rs")


def test_rayon_is_named_in_one_file_only() -> None:
    assert findings("rayon::join(f, g);\n", "src/kernels/gemm.rs")
    assert not findings("rayon::join(f, g);\n", "src/kernels/parallel.rs")


def test_the_house_itself_stands() -> None:
    assert check_house.check_dependencies() == []
    assert check_house.check_unsafe() == []
    assert check_house.check_python() == []
