"""What a report of a fault should say of the machine: ``python -m rustnn.utils.collect_env``."""

import locale
import os
import platform
import re
import subprocess
import sys
from collections import namedtuple

__all__ = ["SystemEnv", "get_env_info", "get_pretty_env_info", "main", "run"]

SystemEnv = namedtuple(
    "SystemEnv",
    """torch_version is_debug_build cuda_compiled_version gcc_version clang_version cmake_version os libc_version
    python_version python_platform is_cuda_available cuda_runtime_version cuda_module_loading nvidia_driver_version
    nvidia_gpu_models cudnn_version is_xpu_available pip_version pip_packages conda_packages hip_compiled_version
    hip_runtime_version miopen_runtime_version caching_allocator_config is_xnnpack_available cpu_info""",
)

# Packages whose versions explain faults.
_PACKAGES = """torch numpy rustnn mypy flake8 optree onnx safetensors mkl triton nccl cublas cudnn lightning timm
    transformers""".split()

_TEXT = """\
PyTorch version: {torch_version}
Is debug build: {is_debug_build}
CUDA used to build PyTorch: {cuda_compiled_version}
ROCM used to build PyTorch: {hip_compiled_version}

OS: {os}
GCC version: {gcc_version}
Clang version: {clang_version}
CMake version: {cmake_version}
Libc version: {libc_version}

Python version: {python_version}
Python platform: {python_platform}
Is CUDA available: {is_cuda_available}
CUDA runtime version: {cuda_runtime_version}
CUDA_MODULE_LOADING set to: {cuda_module_loading}
GPU models and configuration: {nvidia_gpu_models}
Nvidia driver version: {nvidia_driver_version}
cuDNN version: {cudnn_version}
Is XPU available: {is_xpu_available}
HIP runtime version: {hip_runtime_version}
MIOpen runtime version: {miopen_runtime_version}
Is XNNPACK available: {is_xnnpack_available}
Caching allocator config: {caching_allocator_config}

CPU:
{cpu_info}

Versions of relevant libraries:
{pip_packages}
{conda_packages}"""


def run(command):
    """(exit status, output, errors) of a command: a list, or a line for the shell. 127 where it is not there.

    Raises: subprocess.TimeoutExpired after a minute.
    """
    try:
        done = subprocess.run(command, capture_output=True, shell=isinstance(command, str), timeout=60)
    except OSError as error:
        return 127, "", str(error)
    coding = locale.getpreferredencoding(False)
    return done.returncode, *(text.decode(coding, "replace").strip() for text in (done.stdout, done.stderr))


def _first(pattern, *command):
    status, out, _ = run(list(command))
    found = re.search(pattern, out) if status == 0 else None
    return found.group(1) if found else None


def _os():
    machine = platform.machine()
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]} ({machine})"
    if sys.platform == "win32":
        return f"{platform.system()} {platform.release()} ({machine})"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']} ({machine})"
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()} ({machine})"


def _cpu():
    if sys.platform == "darwin":
        return run(["sysctl", "-n", "machdep.cpu.brand_string"])[1]
    status, out, _ = run(["lscpu"])
    return out if status == 0 else f"{platform.processor() or platform.machine()}, {os.cpu_count()} logical CPUs"


def _packages():
    from importlib.metadata import distributions

    found = {(each.metadata["Name"] or "", each.version) for each in distributions()}
    return "\n".join(
        f"[pip3] {name}=={version}"
        for name, version in sorted(found, key=lambda pair: pair[0].lower())
        if any(part in name.lower() for part in _PACKAGES)
    )


def get_env_info():
    """The facts, None where they could not be had."""
    import rustnn

    libc = "-".join(platform.libc_ver()) if sys.platform.startswith("linux") else None
    bits = sys.maxsize.bit_length() + 1
    return SystemEnv(
        torch_version=str(rustnn.__version__),
        is_debug_build="False",
        cuda_compiled_version="None",
        gcc_version=_first(r"gcc (.*)", "gcc", "--version"),
        clang_version=_first(r"clang version (.*)", "clang", "--version"),
        cmake_version=_first(r"cmake (.*)", "cmake", "--version"),
        os=_os(),
        libc_version=libc,
        python_version=f"{sys.version} ({bits}-bit runtime)".replace("\n", " "),
        python_platform=platform.platform(),
        is_cuda_available="False",
        cuda_runtime_version="No CUDA",
        cuda_module_loading="N/A",
        nvidia_driver_version="No CUDA",
        nvidia_gpu_models="No CUDA",
        cudnn_version="No CUDA",
        is_xpu_available="False",
        pip_version="pip3",
        pip_packages=_packages(),
        conda_packages=None,
        hip_compiled_version="N/A",
        hip_runtime_version="N/A",
        miopen_runtime_version="N/A",
        caching_allocator_config="N/A",
        is_xnnpack_available="False",
        cpu_info=_cpu(),
    )


def pretty_str(envinfo):
    """The facts as text."""
    facts = {name: "Could not collect" if fact is None else str(fact) for name, fact in envinfo._asdict().items()}
    facts["pip_packages"] = facts["pip_packages"] or "[pip3] No relevant packages"
    facts["conda_packages"] = "[conda] " + facts["conda_packages"]
    return _TEXT.format(**facts)


def get_pretty_env_info():
    """The facts of this machine as text, in PyTorch's lines."""
    return pretty_str(get_env_info())


def main():
    """Print them."""
    print("Collecting environment information...")
    print(get_pretty_env_info())


if __name__ == "__main__":
    main()
