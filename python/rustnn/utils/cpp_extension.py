"""Extensions in C++ and CUDA: they are compiled against PyTorch's headers, so that here each call says it cannot be.

Programs that fall back to Python code where compiling fails catch ``NotImplementedError``, a ``RuntimeError``."""

__all__ = ["BuildExtension", "CUDAExtension", "CppExtension", "SyclExtension", "include_paths", "library_paths", "load"]
__all__ += [
    "get_compiler_abi_compatibility_and_version",
    "is_ninja_available",
    "load_inline",
    "verify_ninja_availability",
]

# Where the compilers are: there is none to use.
CUDA_HOME = ROCM_HOME = CUDNN_HOME = SYCL_HOME = None
IS_HIP_EXTENSION = False


def _absent(name):
    def function(*args, **kwargs):
        raise NotImplementedError(
            f"cpp_extension.{name}: rustnn has no C++ interface to compile extensions against; write the op in Python "
            "(torch.library) or in Rust (the crate rustnn)"
        )

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "Raises NotImplementedError: there is no C++ interface."
    return function


CppExtension, CUDAExtension, SyclExtension, include_paths, library_paths, load, load_inline = map(
    _absent, "CppExtension CUDAExtension SyclExtension include_paths library_paths load load_inline".split()
)
get_compiler_abi_compatibility_and_version = _absent("get_compiler_abi_compatibility_and_version")


class BuildExtension:
    """The command of setuptools, which raises when it is run."""

    def __init__(self, *args, **kwargs):
        _absent("BuildExtension")()

    @classmethod
    def with_options(cls, **options):
        """The command with its options set."""
        return type(cls.__name__, (cls,), {"options": options})


def is_ninja_available():
    """Whether ninja is installed."""
    from shutil import which

    return which("ninja") is not None


def verify_ninja_availability():
    """Raises RuntimeError where ninja is not installed."""
    if not is_ninja_available():
        raise RuntimeError("Ninja is required to load C++ extensions (pip install ninja to get it)")
