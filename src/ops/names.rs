//! Names of dtypes that PyTorch's messages use.

use rustnn_tensor::DType;

/// `FloatTensor`, as `Tensor.type()` says after `torch.`.
pub fn legacy_type(dtype: DType) -> String {
    format!("{}Tensor", dtype.scalar_name())
}

/// C++'s name, which some messages show.
pub fn type_meta(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float",
        DType::F64 => "double",
        DType::F16 => "c10::Half",
        DType::BF16 => "c10::BFloat16",
        DType::I8 => "signed char",
        DType::I16 => "short int",
        DType::I32 => "int",
        DType::I64 => "long int",
        DType::U8 => "unsigned char",
        DType::Bool => "bool",
        other => other.name(),
    }
}
