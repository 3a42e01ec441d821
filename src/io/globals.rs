//! The closed list of names a checkpoint may use, and what they mean. The list is PyTorch's weights_only list, plus
//! `builtins.frozenset` and `builtins.bytes` (which PyTorch's own files of empty bytes need, and its list lacks).

use std::borrow::Cow;

use rustnn_tensor::DType;

/// Modules no user may allow anything from.
pub(crate) const BLOCKED_MODULES: [&str; 4] = ["sys", "os", "posix", "nt"];

/// Names beside dtypes, storages and tensor classes.
const ALLOWED: [&str; 33] = [
    "_codecs.encode",
    "builtins.bytearray",
    "builtins.bytes",
    "builtins.complex",
    "builtins.frozenset",
    "builtins.set",
    "collections.Counter",
    "collections.OrderedDict",
    "torch.Size",
    "torch.Tensor",
    "torch._tensor._rebuild_from_type_v2",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor",
    "torch._utils._rebuild_device_tensor_from_numpy",
    "torch._utils._rebuild_meta_tensor_no_storage",
    "torch._utils._rebuild_nested_tensor",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_qtensor",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_wrapper_subclass",
    "torch.device",
    "torch.nn.parameter.Parameter",
    "torch.per_channel_affine",
    "torch.per_channel_affine_float_qparams",
    "torch.per_channel_symmetric",
    "torch.per_tensor_affine",
    "torch.per_tensor_symmetric",
    "torch.serialization._get_layout",
    "torch.storage.TypedStorage",
    "torch.storage.UntypedStorage",
];

/// Dtypes PyTorch knows and this crate does not: their names are allowed (a config may mention them), tensors of them are not.
const FOREIGN_DTYPES: [&str; 27] = [
    "bits16",
    "bits1x8",
    "bits2x4",
    "bits4x2",
    "bits8",
    "complex32",
    "float4_e2m1fn_x2",
    "float8_e8m0fnu",
    "int1",
    "int2",
    "int3",
    "int4",
    "int5",
    "int6",
    "int7",
    "qint32",
    "qint8",
    "quint2x4",
    "quint4x2",
    "quint8",
    "uint1",
    "uint2",
    "uint3",
    "uint4",
    "uint5",
    "uint6",
    "uint7",
];

const QUANTIZED_STORAGES: [&str; 5] = ["QInt32Storage", "QInt8Storage", "QUInt2x4Storage", "QUInt4x2Storage", "QUInt8Storage"];

/// What stands before `Storage` and `Tensor` in the typed classes' names.
pub(crate) const TYPED: [(&str, DType); 12] = [
    ("Double", DType::F64),
    ("Float", DType::F32),
    ("Half", DType::F16),
    ("BFloat16", DType::BF16),
    ("Long", DType::I64),
    ("Int", DType::I32),
    ("Short", DType::I16),
    ("Char", DType::I8),
    ("Byte", DType::U8),
    ("Bool", DType::Bool),
    ("ComplexFloat", DType::C64),
    ("ComplexDouble", DType::C128),
];

/// The name Python 3 has for a name that Python 2 wrote (protocols up to 2 still write them).
pub(crate) fn modern_name<'a>(module: &'a str, name: &'a str) -> (Cow<'a, str>, &'a str) {
    let module = match (module, name) {
        ("__builtin__", "xrange") => return ("builtins".into(), "range"),
        ("__builtin__", "unicode" | "basestring") => return ("builtins".into(), "str"),
        ("__builtin__", "long") => return ("builtins".into(), "int"),
        ("__builtin__", "unichr") => return ("builtins".into(), "chr"),
        ("__builtin__", "reduce") => return ("functools".into(), "reduce"),
        ("__builtin__", "intern") => return ("sys".into(), "intern"),
        ("__builtin__", _) => "builtins",
        ("copy_reg", _) => "copyreg",
        // Files of PyTorch 1.7 and before.
        ("torch.tensor", _) => "torch._tensor",
        _ => module,
    };
    (module.into(), name)
}

/// The name for a file of protocol 2, which Python 2 could read.
pub(crate) fn old_module(module: &str) -> &str {
    match module {
        "builtins" => "__builtin__",
        "copyreg" => "copy_reg",
        _ => module,
    }
}

pub(crate) fn is_allowed(full_name: &str) -> bool {
    if ALLOWED.contains(&full_name) || dtype(full_name).is_some() || foreign_dtype(full_name).is_some() {
        return true;
    }
    let Some(name) = full_name.strip_prefix("torch.") else { return false };
    if storage_dtype(full_name).is_some() || QUANTIZED_STORAGES.contains(&name) {
        return true;
    }
    let class = ["cuda.sparse.", "sparse.", "cuda."].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    class.strip_suffix("Tensor").is_some_and(|kind| TYPED.iter().any(|(typed, dtype)| *typed == kind && !dtype.is_complex()))
}

/// `torch.float32` and its like.
pub(crate) fn dtype(full_name: &str) -> Option<DType> {
    let name = full_name.strip_prefix("torch.")?;
    DType::ALL.into_iter().find(|dtype| dtype.name() == name)
}

pub(crate) fn foreign_dtype(full_name: &str) -> Option<&str> {
    full_name.strip_prefix("torch.").filter(|name| FOREIGN_DTYPES.contains(name))
}

/// The dtype of a typed storage class, `torch.FloatStorage` or `torch.cuda.FloatStorage`.
pub(crate) fn storage_dtype(full_name: &str) -> Option<DType> {
    let name = full_name.strip_prefix("torch.")?;
    let kind = name.strip_prefix("cuda.").unwrap_or(name).strip_suffix("Storage")?;
    TYPED.iter().find(|(typed, _)| *typed == kind).map(|(_, dtype)| *dtype)
}

pub(crate) fn is_untyped_storage(full_name: &str) -> bool {
    matches!(full_name, "torch.storage.UntypedStorage" | "torch.UntypedStorage" | "torch.cuda.UntypedStorage")
}

/// The typed storage class of a dtype; None for the newer dtypes, whose storages are untyped.
pub(crate) fn storage_class(dtype: DType) -> Option<&'static str> {
    TYPED.iter().find(|(_, typed)| *typed == dtype).map(|(kind, _)| *kind)
}
